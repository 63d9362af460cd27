#!/usr/bin/env bats
# What a site recorded as the input of simulate: from psec.db under its lock, and from a running psecd, with the same outcome.
load site.bash

setup() { site_folder; sim_start --calm; psecd_start; }
teardown() { site_remove; }

# Two days of quarter-hour means that end at a midnight some days ago, and after them an hour of raw samples. In the
# second day three quarters of the PV are missing. Writes what must come out, computed here.
record() {
	/usr/bin/python3 - "$DIR/state/psec.db" <<'PY'
import json, math, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
day = int(time.time()) // 86400 * 86400 - 5 * 86400
names = {"meter.grid-meter.power_w": 0, "battery.battery-inverter.power_w": 0, "pv.pv-inverter.power_w": 0}
for n in names:
    db.execute("INSERT OR IGNORE INTO point (name) VALUES (?)", (n,))
    names[n] = db.execute("SELECT id FROM point WHERE name = ?", (n,)).fetchone()[0]
load_wh = pv_wh = gaps = 0
def at(t):
    pv = max(0, 3000 * math.sin((t % 86400 - 21600) / 43200 * math.pi))
    battery = 200 * math.sin(t / 5000)
    load = 500 + 100 * math.cos(t / 7000)
    return {"pv.pv-inverter.power_w": pv, "battery.battery-inverter.power_w": battery, "meter.grid-meter.power_w": load - pv - battery}
for q in range(192):
    t = day + q * 900
    values, gap = at(t), 100 <= q < 103
    gaps += gap
    for n, v in values.items():
        if not (gap and n.startswith("pv")):
            db.execute("INSERT INTO mean VALUES (?, ?, ?)", (names[n], t * 10**6, v))
    if not gap:
        load_wh += sum(values.values()) / 4
        pv_wh += values["pv.pv-inverter.power_w"] / 4
for q in range(4):  # raw, every 2 s, about the values of the quarter
    t = day + 2 * 86400 + q * 900
    values = at(t)
    for s in range(0, 900, 2):
        for n, v in values.items():
            db.execute("INSERT INTO sample VALUES (?, ?, ?)", (names[n], (t + s) * 10**6 + 137, v + (10 if s % 4 else -10)))
    load_wh += sum(values.values()) / 4
    pv_wh += values["pv.pv-inverter.power_w"] / 4
db.commit()
form = lambda t: time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(t))
json.dump({"load_wh": load_wh, "pv_wh": pv_wh, "gaps": gaps, "from": form(day), "from_date": form(day)[:10],
           "to": form(day + 2 * 86400 + 3600)}, open("want.json", "w"))
PY
}
want() { /usr/bin/python3 -c 'import json, sys; print(json.load(open("want.json"))[sys.argv[1]])' "$1"; }

@test "recordings come out of the database and of psecd alike, gaps counted and never filled" {
	psecd_stop
	record
	"$PSEC" -C "$DIR" control simulate --json --from "$(want from_date)" --to "$(want to)" --export-series out.csv --html out.html \
		>cold.json 2>cold.err
	/usr/bin/python3 -c '
import json
got, want = json.load(open("cold.json")), json.load(open("want.json"))
assert got["gaps"] == want["gaps"] == 3 and got["steps"] == 196 - 3, got
for k in ("load_wh", "pv_wh"):
    assert abs(got[k] - want[k]) < 1e-3, (k, got[k], want[k])'
	grep -q "3 of 196 steps are gaps" cold.err
	/usr/bin/python3 "$TOP/tests/cli/page.py" out.html cold.json
	/usr/bin/python3 "$TOP/tests/cli/page.py" out.html text "3 more without values"
	# The file that was exported says the same, its gaps stated.
	[ "$(grep -c ',,$' out.csv)" = 3 ]
	"$PSEC" control simulate --json --series out.csv >again.json
	psecd_start
	"$PSEC" -C "$DIR" control simulate --json --from "$(want from)" --to "$(want to)" >warm.json
	/usr/bin/python3 -c '
import json
cold, warm, again = (json.load(open(n + ".json")) for n in ("cold", "warm", "again"))
for k, v in cold.items():
    assert warm[k] == v or abs(warm[k] - v) < 1e-6, (k, v, warm[k])
    assert again[k] == v or abs(again[k] - v) < 0.1, (k, v, again[k])'
	[ "$(stat -c %U "$DIR/state/psec.db")" = "$(stat -c %U "$DIR/state/psec.db-lock")" ]
}

@test "pages of samples hold together over their borders" {
	psecd_stop
	record
	psecd_start
	/usr/bin/python3 - "$TOP/tests/system/ask.py" "$DIR/run/psecd.sock" "$(want to)" <<'PY'
import json, subprocess, sys
end = sys.argv[3]
begin = end[:11] + "00:00Z"
def page(cursor):
    p = {"point": "meter.grid-meter.power_w", "from_utc": begin, "to_utc": end, "means": False}
    if cursor is not None:
        p["cursor"] = cursor
    return json.loads(subprocess.check_output([sys.executable, sys.argv[1], sys.argv[2], "samples.page", json.dumps(p)]))
seen, cursor = [], None
while True:
    got = page(cursor)
    seen += got["rows"]
    cursor = got["cursor"]
    if cursor is None:
        break
assert len(seen) == 1800, len(seen)
assert [r[0] for r in seen] == sorted({r[0] for r in seen})
PY
}

@test "what was not recorded, or not asked for rightly, is told" {
	run -65 "$PSEC" -C "$DIR" control simulate --from 2020-01-01 --to 2020-01-02
	[[ $output == *"nothing was recorded"* ]]
	run -64 "$PSEC" -C "$DIR" control simulate --from yesterday
	[[ $output == *"2026-10-01T06:00Z"* ]]
	run -64 "$PSEC" -C "$DIR" control simulate --from 2020-01-02 --to 2020-01-01
	[[ $output == *"not after"* ]]
	run -64 "$PSEC" -C "$DIR" control simulate --from 2020-01-02 --step 7s
	run -64 "$PSEC" -C "$DIR" control simulate --from 2020-01-02 --series x.csv
	run -64 "$PSEC" -C "$DIR" control simulate --to 2020-01-02
	[[ $output == *"--to needs --from"* ]]
	psecd_stop
	rm -rf "$DIR/state"
	run -65 "$PSEC" -C "$DIR" control simulate --from 2020-01-01
	[[ $output == *"has not recorded here yet"* ]]
}
