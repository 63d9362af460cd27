#!/usr/bin/env bats
# The simulated site, read and provoked by clients that were not written here: pysunspec2, pymodbus, mbpoll, a raw socket.
load sim

setup_file() {
	export SITE=$BATS_FILE_TMPDIR/site
	start_site "$SITE" --rtu --with hybrid,bms --calm --series none
}
teardown_file() { end_site "$SITE"; }
teardown() {
	end_own_sites
	SITE=$BATS_FILE_TMPDIR/site
	for d in meter battery rs485; do sim fault $d none; done
	sim load 0
}

@test "pysunspec2 finds every model of every device, and its end" {
	run -0 client models "$(at meter)"
	[[ $output == "1 203 | psec | SimMeter 3P | PS"* ]]
	run -0 client models "$(at battery)"
	[[ $output == "1 103 120 124 802 | psec | SimStore 5/10 | PS"* ]]
	run -0 client models "$(at pv)"
	[[ $output == "1 103 120 123 | psec | SimSun 8 | PS"* ]]
}

@test "what pysunspec2 reads is what is true" {
	run -0 client point "$(at meter)" 203 W
	near "$output" "$(true_value grid_w)" 30
	run -0 client point "$(at meter)" 203 WphA WphB WphC W
	read -r a b c w <<<"$output"
	near $((${a%.*} + ${b%.*} + ${c%.*})) "$w" 2
	run -0 client point "$(at battery)" 802 SoC WHRtg WChaRteMax
	near "${output%% *}" "$(true_value soc_percent)" 0.2
	[[ $output == *" 10000 5000" ]]
}

@test "a set-point by pysunspec2 discharges the battery, and the import falls by as much" {
	sim load 3000 # 3500 W of house, no sun
	client setpoint "$(at battery)" 40
	holds() { near "$(client point "$(at battery)" 103 W)" 2000 20 && near "$(client point "$(at meter)" 203 W)" 1500 40; }
	wait_until 15 holds
	near "$(true_value battery_w)" 2000 20
	client setpoint "$(at battery)" -40
	holds() { near "$(client point "$(at battery)" 103 W)" -2000 20 && near "$(client point "$(at meter)" 203 W)" 5500 40; }
	wait_until 15 holds
	[ "$(client point "$(at battery)" 124 ChaSt)" = 4 ]
	client setpoint "$(at battery)" 0
}

@test "a set-point that nobody renews is dropped, and the registers show it" {
	start_site "$BATS_TEST_TMPDIR/w" --watchdog 1s --series none
	SITE=$BATS_TEST_TMPDIR/w
	client setpoint "$(at battery)" 40
	expired() { [ "$(client point "$(at battery)" 103 StVnd)" = 3 ]; }
	wait_until 15 expired
	[ "$(client point "$(at battery)" 124 StorCtl_Mod)" = 0 ]
	zero() { near "$(true_value battery_w)" 0 5; }
	wait_until 15 zero
}

@test "mbpoll reads a SunSpec meter, and the meter on the line" {
	address=$(at meter)
	hostport=${address#tcp://}
	hostport=${hostport%#*}
	run -0 mbpoll -m tcp -p "${hostport#*:}" -a 1 -0 -t 4:hex -r 40000 -c 2 -1 "${hostport%:*}"
	[[ $output == *0x5375* && $output == *0x6E53* ]]
	run -0 mbpoll -m rtu -a 1 -b 9600 -P none -0 -t 3:float -B -r 52 -c 1 -1 "$SITE/run/rs485"
	near "$(sed -n 's/^\[52\]:[[:space:]]*//p' <<<"$output")" "$(true_value grid_w)" 30
}

@test "pymodbus reads the meter on the line as the SunSpec meter shows it" {
	run -0 client read "$(at rs485)" 4 52 2 float32
	near "$output" "$(client point "$(at meter)" 203 W)" 30
	run -0 client read "$(at rs485)" 4 0 6 float32
	for v in $output; do near "$v" 230 10; done
}

@test "an answer on the line takes at least the time of its characters" {
	run -0 client read "$(at rs485)" 4 0 80 took_ms # 8 + 165 characters at 960 a second
	[ "$output" -ge 180 ]
}

@test "on the line another unit, another rate and a broken frame get no answer" {
	a=$(at rs485)
	run -0 client read "${a%#*}#2" 4 52 2 float32 0.3
	[ "$output" = "no answer" ]
	run -0 client read "${a/9600/19200}" 4 52 2 float32 0.3
	[ "$output" = "no answer" ]
	"$PY" -c 'import serial, sys; serial.Serial(sys.argv[1], 9600).write(b"\x01\x04\x00\x34\x00\x02\x00\x00")' "$SITE/run/rs485"
	run -0 client read "$a" 4 52 2 float32
	near "$output" "$(true_value grid_w)" 30
}

@test "pymodbus reads and commands the hybrid" {
	"$PY" - "$(at hybrid)" <<-'END'
		import sys
		from urllib.parse import urlsplit
		from pymodbus.client import ModbusTcpClient
		u = urlsplit(sys.argv[1])
		c = ModbusTcpClient(u.hostname, port=u.port)
		c.connect()
		for register, value in ((13051, 1000), (13050, 0xBB), (13049, 2)):
		    assert not c.write_register(register, value, slave=1).isError()
		assert c.read_holding_registers(13049, count=3, slave=1).registers == [2, 0xBB, 1000]
	END
	holds() { near "$(true_value battery_w)" 1000 10; }
	wait_until 15 holds
	near "$(client read "$(at hybrid)" 4 13021 1 int16)" 1000 20
	[ "$(client read "$(at hybrid)" 4 5627 1)" = 50 ] # 5 kW
	near "$(client read "$(at hybrid)" 4 5635 1)" 13 1
	run -0 client read "$(at bms)" 3 4356 2 int16 # 0x1104: discharging is negative here
	[ "${output#* }" -lt -200 ]
	client setpoint "$(at battery)" 0
}

@test "stale, frozen, wrong sign and impossible are seen by pymodbus" {
	a=$(at meter)
	settled() { near "$(client read "$a" 3 40088 1 int16)" "$1" 40; }
	wait_until 15 settled 500
	sim fault meter sign
	settled -500
	sim fault meter impossible
	[ "$(client read "$a" 3 40088 5 int16 | cut -d' ' -f1,5)" = "20000 5" ]
	sim fault meter stale
	stale=$(client read "$a" 3 40072 30)
	sim load 2000
	moved() { near "$(client read "$(at rs485)" 4 52 2 float32)" 2500 60; }
	wait_until 15 moved
	[ "$(client read "$a" 3 40072 30)" = "$stale" ]
	sim fault meter none
	wait_until 15 settled 2500
	sim fault meter frozen
	volts=$(client read "$a" 3 40078 1)
	sim load 0
	moved() { near "$(client read "$(at rs485)" 4 52 2 float32)" 500 60; }
	wait_until 15 moved
	settled 2500
	[ "$(client read "$a" 3 40078 1)" != "$volts" ]
}

@test "exceptions, silence, a lost device and broken frames are seen by pymodbus" {
	a=$(at meter)
	# not wrong-transaction, which pymodbus 3.8 takes as good: its bytes are looked at below
	for want in "exception:exception 4" "busy:exception 6" "silent:no answer" "garbage:no answer" "wrong-unit:no answer" \
		"wrong-length:no answer" "lost:no connection"; do
		sim fault meter "${want%%:*}"
		run -0 client read "$a" 3 40000 2 uint16 0.4
		[ "$output" = "${want#*:}" ] || { echo "${want%%:*}: $output"; false; }
	done
	sim fault meter slow
	run -0 client read "$a" 3 40000 2 took_ms
	[ "$output" -ge 800 ]
	sim fault meter none
	run -0 client read "$a" 3 40000 2
	[ "$output" = "21365 28243" ]
}

@test "each lie about a frame is in the bytes on the socket" {
	a=$(at meter)
	[ "$(client raw "$a")" = 1234000000070103045375"6e53" ]
	sim fault meter wrong-unit
	[ "$(client raw "$a")" = 12340000000702030453756e53 ]
	sim fault meter wrong-transaction
	client raw "$a" >/dev/null # the number of the question before: 1234 again is told as 1233
	[[ $(client raw "$a") != 1234* ]]
	sim fault meter wrong-length
	one=$(client raw "$a") two=$(client raw "$a")
	[ "$one" != "$two" ]
	[[ $one$two == *1234000000070103065375* && $one$two == *12340000000d010304* ]]
	sim fault meter garbage
	[[ $(client raw "$a") != 12340000* ]]
}

@test "a deaf device accepts a set-point, shows the old one and does nothing" {
	client setpoint "$(at battery)" 0
	sim fault battery deaf
	client setpoint "$(at battery)" 40
	[ "$(client point "$(at battery)" 124 OutWRte)" = 0.0 ]
	[ "$(true_value setpoint_w)" = 0.0 ]
}

@test "faults on the line: silence, and a sound answer to the question before" {
	a=$(at rs485)
	run -0 client line_twice "$a"
	[[ $output == "sound "* ]]
	near "${output#* }" "$(true_value grid_w)" 30
	sim fault rs485 wrong-transaction
	run -0 client line_twice "$a"
	[[ $output == "sound 23"* ]] # the voltage of register 0 as the power of register 52
	for fault in lost silent garbage wrong-unit wrong-length; do
		sim fault rs485 $fault
		run -0 client read "$a" 4 52 2 float32 0.4
		[ "$output" = "no answer" ] || { echo "$fault: $output"; false; }
	done
	sim fault rs485 exception
	run -0 client read "$a" 4 52 2 float32
	[ "$output" = "exception 4" ]
}

@test "a fault for a device that is not there, or a fault that is none, is told" {
	run -65 --separate-stderr sim fault boiler lost
	[[ $stderr == *"no device 'boiler', but meter, battery, pv"* ]]
	run -64 --separate-stderr sim fault meter sleepy
	[[ $stderr == *"no fault 'sleepy'"* ]]
}

@test "the kettle and the cloud show in what is true" {
	start_site "$BATS_TEST_TMPDIR/s" --calm --at 2016-06-14T11:00Z
	SITE=$BATS_TEST_TMPDIR/s
	load=$(true_value load_w) pv=$(true_value pv_w)
	near "$pv" 4190 60
	sim load 2000
	boiling() { near "$(true_value load_w)" "$("$PY" -c "print($load + 2000)")" 5; }
	wait_until 15 boiling # from the plant's next step on
	sim cloud 75
	clouded() { near "$(true_value pv_w)" "$("$PY" -c "print($pv / 4)")" 30; }
	wait_until 15 clouded
	[ "$(true_value cloud_percent)" = 75.0 ]
	near "$(client point "$(at pv)" 103 W)" "$(true_value pv_w)" 30
}

@test "a second site at the same place is refused with 75, and the first one lives" {
	address=$(at meter)
	hostport=${address#tcp://}
	hostport=${hostport%#*}
	run -75 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/2" sim run --host "${hostport%:*}" --port "${hostport#*:}"
	[[ $stderr == *"another simulated site?"* ]]
	run -75 --separate-stderr "$PSEC" -C "$SITE" sim run --port 0
	run -0 client models "$address"
	[ -L "$SITE/run/rs485" ]
}

@test "it ends with 0 on SIGINT and SIGTERM and leaves nothing; after SIGKILL it starts again" {
	for signal in INT TERM; do
		start_site "$BATS_TEST_TMPDIR/e" --rtu
		pid=$(cat "$BATS_TEST_TMPDIR/e/pid")
		kill -$signal "$pid"
		wait "$pid"
		[ -z "$(ls "$BATS_TEST_TMPDIR/e/run")" ]
	done
	start_site "$BATS_TEST_TMPDIR/e" --rtu
	kill -KILL "$(cat "$BATS_TEST_TMPDIR/e/pid")"
	wait "$(cat "$BATS_TEST_TMPDIR/e/pid")" || true
	[ -L "$BATS_TEST_TMPDIR/e/run/rs485" ]
	start_site "$BATS_TEST_TMPDIR/e" --rtu
	SITE=$BATS_TEST_TMPDIR/e
	run -0 client read "$(at rs485)" 4 52 2 float32
	[[ $output != no* ]]
}

@test "the seed decides serial numbers" {
	start_site "$BATS_TEST_TMPDIR/a" --seed 7
	start_site "$BATS_TEST_TMPDIR/b" --seed 7
	start_site "$BATS_TEST_TMPDIR/c" --seed 8
	serials=$(for d in a b c; do SITE=$BATS_TEST_TMPDIR/$d client models "$(SITE=$BATS_TEST_TMPDIR/$d at meter)"; done)
	[ "$(sort -u <<<"$serials" | wc -l)" = 2 ]
	[ "$(sed -n 1p <<<"$serials")" = "$(sed -n 2p <<<"$serials")" ]
}

@test "what cannot be simulated is told before anything starts" {
	run -65 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim run --host 192.0.2.1
	[[ $stderr == *"127.0.0.0/8"* ]]
	run -64 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim run --with toaster
	[[ $stderr == *"--with is 'toaster', must be hybrid, bms or genset"* ]]
	run -65 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim run --at 2031-01-01T00:00Z
	[[ $stderr == *"which goes from 2015-12-31T23:00"* ]]
	start_site "$BATS_TEST_TMPDIR/y"
	taken=$(at meter) taken=${taken#tcp://} taken=${taken%#*}
	run -75 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim run --host "${taken%:*}" --port "${taken##*:}"
	[ ! -e "$BATS_TEST_TMPDIR/x" ] # nothing was begun, so nothing is left
	mkdir "$BATS_TEST_TMPDIR/x"
	run -75 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim run --host "${taken%:*}" --port "${taken##*:}"
	[ -z "$(ls -A "$BATS_TEST_TMPDIR/x")" ]
	run -69 --separate-stderr "$PSEC" -C "$BATS_TEST_TMPDIR/x" sim status
	[[ $stderr == *"sim run"* ]]
}

@test "on a terminal a line shows what happens, within 80 columns" {
	d=$BATS_TEST_TMPDIR/t
	mkdir -p "$d"
	script -qec "$PSEC -C $d sim run --host 127.19.7.11 --port 0 --series none --calm" /dev/null >"$d/screen" 2>&1 3>&- </dev/null &
	pid=$!
	shown() { grep -q 'house 500 W' "$d/screen"; }
	wait_until 15 shown
	SITE=$d sim fault meter stale
	shown() { grep -q 'meter: stale' "$d/screen"; }
	wait_until 15 shown
	kill "$pid" # script's terminal goes with it, which ends the site by SIGHUP
	wait "$pid" || true
	gone() { ! "$PSEC" -C "$d" sim status; }
	wait_until 15 gone
	! tr '\r' '\n' <"$d/screen" | sed 's/\x1b\[K//' | grep house | grep -E '^.{80,}'
}
