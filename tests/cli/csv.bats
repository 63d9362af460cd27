#!/usr/bin/env bats
# --csv: every command that prints rows prints them for a spreadsheet, too.
load helper

setup() { own_folder; }

# The commands that take --csv, as "device list".
takers() {
	local c s
	for c in $("$PSEC" __complete -- '' | cut -f1); do
		if "$PSEC" __complete -- "$c" --csv | grep -q .; then echo "$c"; fi
		for s in $("$PSEC" __complete -- "$c" '' | cut -f1 | grep -v '^:'); do
			"$PSEC" "$c" "$s" --help 2>/dev/null | grep -q "^usage: psec $c $s" || continue
			"$PSEC" __complete -- "$c" "$s" --csv | grep -q . && echo "$c $s"
		done
	done
}

# What CSV says is what JSON says; $1 takes rows out of the JSON.
same_rows() {
	python3 - "$1" <<'E'
import csv, json, sys
rows = list(csv.DictReader(open('out.csv', newline='', encoding='utf-8'), strict=True))
said = eval(sys.argv[1], {'j': json.load(open('out.json'))})
assert len(rows) == len(said) and rows, (len(rows), len(said))
for r, s in zip(rows, said):
    for k, v in r.items():
        if k not in s or isinstance(s[k], (list, dict)):
            continue
        if s[k] is None:
            assert v == '', (k, v)
        elif isinstance(s[k], bool):
            assert v == str(s[k]).lower(), (k, v)
        elif isinstance(s[k], (int, float)):
            assert float(v) == s[k], (k, v)
        else:
            assert v == s[k] or v == "'" + s[k], (k, v)
E
}

@test "the commands that print rows take it, and their help says so" {
	takers | sort -u >all
	for c in scan status 'control simulate' 'device list' 'device show' 'device read' 'device models' 'device test' \
		'device identify' 'sim status' 'sim fault' 'sim check' 'sim scenarios' 'site check' 'site show'; do
		grep -qx "$c" all || { echo "$c has no --csv"; false; }
		"$PSEC" $c --help | grep -q -- '--csv  *print CSV'
	done
}

@test "rows are those of the JSON, in quotes, numbers raw, lines ended as RFC 4180 wants" {
	"$PSEC" device list --csv >out.csv
	"$PSEC" device list --json >out.json
	same_rows j
	[ "$(head -1 out.csv)" = $'profile,make,model,kind,roles,can_set,file\r' ]
	[ "$(wc -l <out.csv)" = "$(grep -c $'\r$' out.csv)" ]
	"$PSEC" device show eastron-sdm630 --csv >out.csv
	"$PSEC" device show eastron-sdm630 --json >out.json
	same_rows 'j["points"]'
	"$PSEC" sim scenarios --csv >out.csv
	"$PSEC" sim scenarios --json >out.json
	same_rows j
	"$PSEC" sim check storm --csv >out.csv
	"$PSEC" sim check storm --json >out.json
	same_rows j
}

@test "a simulation goes into a spreadsheet with its units in the header" {
	series=$TOP/lib/sim/series/home-a-2016.csv
	"$PSEC" control simulate --series "$series" --mode off,self-consumption --battery-wh 5000,10000 --csv >out.csv
	"$PSEC" control simulate --series "$series" --mode off,self-consumption --battery-wh 5000,10000 --json >out.json
	same_rows j
	head -1 out.csv | grep -q ',battery_wh,'
}

@test "without a daemon the devices of the file are the rows, and the status is still 69" {
	mkdir site
	"$PSEC" -C site init --id hof --tier sim --yes >/dev/null
	run -69 --separate-stderr "$PSEC" -C site status --csv
	[ "${lines[0]}" = $'name,profile,address,state,rate_hz,latency_ms,why\r' ]
	[[ $stderr == *'psecd does not run'* ]]
}

@test "faults are rows, and one that begins as a formula is none" {
	printf 'site:\n  id: hof\n"=1+1": 2\n' >site.yaml
	run -1 "$PSEC" site check --csv site.yaml
	[ "${lines[0]}" = $'file,line,path,text\r' ]
	[[ $output == *"\"'=1+1"* ]]
}

@test "JSON and CSV at once are too much; commands without rows do not know it" {
	run -64 "$PSEC" device list --csv --json
	[[ $output == *'--json and --csv are two forms of one answer'* ]]
	run -64 "$PSEC" version --csv
	run -64 "$PSEC" device list --csv=x
	[[ $output == *"'--csv' takes no value"* ]]
	run -64 "$PSEC" device identify meter --step 500 --csv
}
