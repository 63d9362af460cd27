#!/usr/bin/env bats
# psec device, without a device: profiles as people see and write them.
load helper

setup() { own_folder; }

@test "the list has every installed profile, as a table and as JSON" {
	"$PSEC" device list >out
	for p in "$TOP"/lib/device/profiles/*.yaml; do
		grep -q "^$(basename "$p" .yaml) " out
	done
	"$PSEC" device list --json | python3 -c '
import json, sys
l = {p["profile"]: p for p in json.load(sys.stdin)}
assert l["sunspec-storage"]["can_set"] and not l["deye-hybrid-3p"]["can_set"]
assert l["sungrow-hybrid"]["roles"] == ["grid-meter", "battery-inverter", "bms", "pv-inverter"]'
}

@test "a profile shows its points, where they lie, and its source" {
	"$PSEC" device show eastron-sdm630 >out
	grep -q 'volkszaehler/mbmd' out
	grep -q 'grid-meter.power_w  *W .*fast .*input 52 float32' out
	"$PSEC" device show sunspec-storage --json | python3 -c '
import json, sys
p = {x["point"]: x for x in json.load(sys.stdin)["points"]}
assert p["battery-inverter.setpoint_w"]["writable"] and p["bms.soc_percent"]["unit"] == "%"'
}

@test "an unknown profile is bad input, with what to do" {
	run -65 "$PSEC" device show nothing
	[[ $output == *"psec device list"* ]]
}

@test "a site's own profile stands before the installed one, and its faults are told with file and line" {
	mkdir -p site/profiles
	sed 's/^model: .*/model: My own/' "$TOP/lib/device/profiles/eastron-sdm630.yaml" >site/profiles/sdm.yaml
	printf 'psec-profile: 1\nid: broken\nmake: M\nmodel: N\nsource: me\npoints:\n  grid-meter.power_w: {function: 3, address: 70000}\n' \
		>site/profiles/broken.yaml
	chmod 644 site/profiles/*.yaml
	"$PSEC" -C site device list >out 2>err
	grep -q '^eastron-sdm630 .*My own' out
	run ! grep -q '^broken' out
	grep -q 'profiles/broken.yaml:7: points.grid-meter.power_w.address' err
	chmod 666 site/profiles/sdm.yaml
	"$PSEC" -C site device list >out 2>err
	grep -q 'sdm.yaml: .*not writable by others' err
	run ! grep -q 'My own' out
}

@test "a site's own profile with a fault is not replaced by the installed one of its id: the site cannot run" {
	"$PSEC" -C site init --id own --tier lab --yes >/dev/null
	cat >>site/site.yaml <<-'END'
	  - {name: meter, profile: eastron-sdm630, address: "tcp://127.0.0.9:1#1", roles: [grid-meter]}
	END
	run -0 "$PSECD" -C site -n
	sed 's/^model: .*/modell: My own/' "$TOP/lib/device/profiles/eastron-sdm630.yaml" >site/profiles/mine.yaml
	run -65 "$PSECD" -C site -n
	[[ $output == *"'eastron-sdm630' is a profile of the site's own that has faults"* ]]
	run -1 "$PSEC" -C site site check
	run -65 "$PSEC" -C site device read meter
	rm site/profiles/mine.yaml
	echo 'id: [' >site/profiles/eastron-sdm630.yaml # what cannot be read is known by the file's name
	run -65 "$PSECD" -C site -n
	mv site/profiles/eastron-sdm630.yaml site/profiles/draft.yaml
	run -0 "$PSECD" -C site -n # nobody uses it
}

@test "where nobody answers is unreachable, a wrong address is bad input" {
	run -69 "$PSEC" device read tcp://127.0.0.1:1#1
	run -69 "$PSEC" device read tcp://127.0.0.1:1#1 --profile eastron-sdm630
	run -65 "$PSEC" device read tcp://127.0.0.1:1#300
	run -65 "$PSEC" device read tcp://127.0.0.1:1#1 --profile nothing
}

@test "what device new is to look for is judged before anything is asked" {
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 colour=red
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 grid-meter.power_w=12V
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 grid-meter.power_w=0W
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 --range 4:10-5
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 --id Upper
	run -64 "$PSEC" device new tcp://127.0.0.1:1#1 --role nobody
	run -69 "$PSEC" device new tcp://127.0.0.1:1#1
	run -65 "$PSEC" -C nowhere device new tcp://127.0.0.1:1#1
	[[ $output == *"'nowhere' does not exist"*--stdout* ]]
	[ ! -e nowhere ]
	run -69 "$PSEC" -C nowhere device new tcp://127.0.0.1:1#1 --stdout
	run -69 "$PSEC" device test tcp://127.0.0.1:1#1 --profile eastron-sdm630
}

@test "a profile that is there already is not overwritten" {
	mkdir -p profiles
	echo mine >profiles/mine.yaml
	run -77 "$PSEC" device new tcp://127.0.0.1:1#1 --id mine
	[ "$(cat profiles/mine.yaml)" = mine ]
}
