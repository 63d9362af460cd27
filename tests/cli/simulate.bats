#!/usr/bin/env bats
# psec control simulate: cases side by side, tariffs, the closed loop and the page, held against what psec did not compute.
load helper

setup() { own_folder; YEAR=$TOP/lib/sim/series/home-a-2016.csv; }

simulate() { "$PSEC" control simulate "$@"; }
# A short series: one day of quarter-hours, with a sun.
day() { /usr/bin/python3 -c '
import math
print("ts_utc,load_w,pv_w,price_eur_mwh")
for i in range(96):
    print("2026-06-14T%02d:%02dZ,%d,%d,%d" % (i // 4, i % 4 * 15, 400 + 300 * (i % 7), max(0, 4000 * math.sin((i - 24) / 48 * math.pi)), 30 + i))
' >"${1:-day.csv}"; }

@test "the year of the household is the reference's, with the fixed and with the dynamic tariff" {
	printf '%s\n' 'tariff: 1' 'import: {spot: {markup_eur_kwh: 0.18, least_eur_kwh: 0.10}}' 'export: {fixed_eur_kwh: 0.08}' >dyn.yaml
	simulate --json --compare --series "$YEAR" >fix.json
	simulate --json --compare --series "$YEAR" --tariff dyn.yaml >dyn.json
	/usr/bin/python3 -c '
import json
# numpy and HiGHS computed these; no line is shared
want = {"fix.json": [(3134.944, 6234.944, None), (1872.239, 4841.121, 174.3822)], "dyn.json": [(None, None, 169.6454), (None, None, 15.6009)]}
for name, cases in want.items():
    got = json.load(open(name))
    assert [g["mode"] for g in got] == ["off", "self-consumption"]
    for g, (imp, exp, cost) in zip(got, cases):
        assert imp is None or abs(g["import_wh"] / 1000 - imp) < 1, (g["import_wh"], imp)
        assert exp is None or abs(g["export_wh"] / 1000 - exp) < 1, (g["export_wh"], exp)
        assert cost is None or abs(g["cost_eur"] - cost) < 0.01, (g["cost_eur"], cost)
    assert abs(got[1]["saving_eur"] - (got[0]["cost_eur"] - got[1]["cost_eur"])) < 1e-9'
}

@test "one case is an object, several are a list with every combination, off once" {
	day
	simulate --json --series day.csv >one.json
	simulate --json --series day.csv --mode off,self-consumption,manual --battery-wh 5000,8000 --reserve 0,20 >list.json
	/usr/bin/python3 -c '
import json
assert json.load(open("one.json"))["mode"] == "self-consumption"
rows = json.load(open("list.json"))
assert len(rows) == 1 + 2 * 4, len(rows)
assert rows[0]["mode"] == "off" and rows[0]["battery_wh"] is None and rows[0]["saving_eur"] == 0
assert {(r["battery_wh"], r["reserve_percent"]) for r in rows[1:5]} == {(5000, 0), (5000, 20), (8000, 0), (8000, 20)}'
	run -0 simulate --series day.csv --compare --battery-wh 5000,8000
	[ "$(wc -L <<<"$output")" -le 100 ]
	[ "${#lines[@]}" = 4 ]
}

@test "lists are checked value by value" {
	day
	run -64 simulate --series day.csv --battery-wh 5000,x
	[[ $output == *"--battery-wh is 'x'"* ]]
	run -64 simulate --series day.csv --mode off,off
	[[ $output == *"twice"* ]]
	run -64 simulate --series day.csv --battery-wh 1,2,3,4,5,6 --reserve 1,2,3,4,5
	[[ $output == *"more than 24 cases"* ]]
	run -64 simulate
	[[ $output == *"--series or --closed-loop"* ]]
	run -0 "$PSEC" __complete -- control simulate --mode off,s
	[ "$output" = $'off,self-consumption\t' ]
}

@test "a tariff that is none is told with file and line, and one of the exchange needs prices" {
	day
	printf 'tariff: 1\nimport: {fixed_eur_kwh: 30}\nexport: {fixed_eur_kwh: 0.1}\n' >bad.yaml
	run -65 simulate --series day.csv --tariff bad.yaml
	[[ $output == *"bad.yaml:2: import.fixed_eur_kwh is 30"* ]]
	cut -d, -f1-3 day.csv >plain.csv
	run -65 simulate --series plain.csv --tariff dynamic:0.1:0.08
	[[ $output == *"price_eur_mwh"* ]]
	run -64 simulate --series day.csv --tariff fixed:much
	[[ $output == *"like fixed:0.30:0.08"* ]]
	run -74 simulate --series day.csv --tariff nothing.yaml
	[[ $output == *"a tariff is fixed:IMPORT:EXPORT"* ]]
}

@test "a peak has a price, which is its own figure" {
	day
	printf 'tariff: 1\nimport: {fixed_eur_kwh: 0.3}\nexport: {fixed_eur_kwh: 0.08}\ncapacity: {eur_kw: 30, per: month}\n' >peak.yaml
	simulate --json --series day.csv --tariff peak.yaml >out
	/usr/bin/python3 -c '
import json
o = json.load(open("out"))
assert abs(o["capacity_eur"] - 30 * o["peak_import_w"] / 1000 / 30) < 1e-9
assert abs(o["cost_eur"] - o["energy_eur"] - o["capacity_eur"]) < 1e-9'
	run -0 simulate --series day.csv --tariff peak.yaml
	[[ $output == *"Cost of peaks"* ]]
}

@test "the closed loop settles on every plant, and needs no series" {
	local plant
	for plant in fast mid slow; do
		simulate --json --closed-loop --plant $plant >out
		/usr/bin/python3 -c '
import json, sys
o = json.load(open("out"))
# one phase of the step: never above the worst that psec-bench(7) names
assert o["settle_s"] <= {"fast": 2.6, "mid": 4.0, "slow": 6.0}[sys.argv[1]], o
assert o["overshoot_w"] <= 50 and o["mean_abs_w"] < 20 and o["writes"] > 2, o' $plant
	done
	run -64 simulate --closed-loop --window 5s
}

@test "the page is one file that loads nothing, and its figures are those of --json" {
	local dark
	simulate --json --series "$YEAR" --compare --battery-wh 5000,10000 --closed-loop --html page.html >out.json
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html out.json
	[ "$(wc -c <page.html)" -lt 400000 ]
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html text "Open Database"
	for dark in prefers-color-scheme 'media print' 'max-width'; do grep -q "$dark" page.html; done
	run -0 simulate --series "$YEAR" --html -
	[[ $output == '<!DOCTYPE html>'*'</html>' ]]
}

@test "the page stands with a day, with two steps, without sun, and with the loop alone" {
	day
	printf 'ts_utc,load_w,pv_w\n2026-01-01T00:00Z,0,0\n2026-01-01T00:15Z,0,0\n' >nothing.csv
	simulate --series day.csv --html day.html --json >day.json
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" day.html day.json
	simulate --series nothing.csv --html nothing.html >out
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" nothing.html
	simulate --closed-loop --html loop.html >out
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" loop.html
}

@test "names that came from outside are text on the page, and nothing else" {
	local bad=$'<script>alert(1)</script>"\' onload=x &amp;\x01'
	day "<img src=x onerror=y>&.csv"
	printf 'tariff: 1\nname: "</table><script>"\nimport: {fixed_eur_kwh: 0.3}\nexport: {fixed_eur_kwh: 0.1}\n' >evil.yaml
	printf '<img src=x onerror=y>&.csv: <script>of nobody</script>\n' >NOTICE.md
	simulate --series "<img src=x onerror=y>&.csv" --tariff evil.yaml --title "$bad" --html page.html >out
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html text '<script>alert(1)</script>"'"'"' onload=x &amp;\x01'
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html text '<img src=x onerror=y>&.csv'
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html text '</table><script>'
	/usr/bin/python3 "$BATS_TEST_DIRNAME/page.py" page.html text '<script>of nobody</script>'
}

# It has its handler of SIGINT, and sleeps.
waits() { grep -qE '^SigCgt:.*[2367abef]$' /proc/$1/status && grep -qE '^State:.S' /proc/$1/status; }

@test "a fifo that is named like the notice of a series, or as the series, is not waited for; Ctrl-C ends a pipe's silence" {
	local pid status=0
	day
	mkfifo NOTICE.md
	run -0 timeout 60 "$PSEC" control simulate --series day.csv --html page.html
	run -65 timeout 60 "$PSEC" control simulate --series NOTICE.md
	[[ $output == *"'NOTICE.md' is a fifo, must be a regular file"* ]]
	# the writer of standard input never writes
	exec 5<>NOTICE.md
	"$PSEC" control simulate --series - <NOTICE.md 2>err &
	pid=$!
	wait_until 10 waits $pid
	kill -INT $pid
	wait $pid || status=$?
	exec 5>&-
	[ "$status" = 130 ]
	grep -q "interrupted while reading" err
}

@test "a page that cannot be written is an error" {
	day
	run -74 simulate --series day.csv --html nowhere/page.html
	[[ $output == *"nowhere/page.html"* || $output == *nowhere* ]]
}
