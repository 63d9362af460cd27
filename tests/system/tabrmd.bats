#!/usr/bin/env bats
# psec behind a resource manager that is a program: tpm2-abrmd before a swtpm, on a bus of the test's own.
load provision

setup_file() { provision_file; }
setup() {
	own_folder
	PATH=$PATH:/usr/sbin
	command -v tpm2-abrmd >/dev/null || skip "needs the package tpm2-abrmd"
	[ -n "$(find /usr/lib -name 'libtss2-tcti-tabrmd.so.0' -print -quit)" ] || skip "needs the package libtss2-tcti-tabrmd0"
	command -v dbus-daemon >/dev/null || skip "needs the package dbus-daemon"
	board board
	site sim
	manager_start
}
teardown() {
	local p
	for p in ${MANAGER:-} ${BUS:-}; do kill "$p" 2>/dev/null || true; done
	boards_end
	[ -z "${MANAGED:-}" ] || rm -f "/run/lock/$MANAGED"* "/tmp/$MANAGED"*
}

manager_start() {
	local root=() name=psec.test.n$$ # of its own, since the lock goes by these words
	[ "$(id -u)" != 0 ] || root=(--allow-root)
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$DIR/bus
	dbus-daemon --session --nofork --nopidfile --address="$DBUS_SESSION_BUS_ADDRESS" 3>&- >bus.log 2>&1 &
	BUS=$!
	wait_until 10 [ -S "$DIR/bus" ]
	tpm2-abrmd --session --dbus-name="$name" "${root[@]}" --tcti "$PSEC_TCTI" 3>&- >manager.log 2>&1 &
	MANAGER=$!
	export PSEC_TCTI=tabrmd:bus_name=$name,bus_type=session
	MANAGED=psec-tpm-$(printf %s "$PSEC_TCTI" | sha256sum | cut -c 1-32)
	wait_until 10 tpm2_getcap -T "$PSEC_TCTI" handles-persistent || { cat manager.log; return 1; }
}

# As the TPM itself says, not its manager.
nothing_is_loaded() {
	{ tpm2_getcap handles-transient; tpm2_getcap handles-loaded-session; tpm2_getcap handles-saved-session; } >loaded
	[ ! -s loaded ]
}

@test "one provisions and others look at once; one is killed; nothing stays loaded" {
	"$PSEC" provision ca init --ca ca --ek-roots ek-roots.pem >/dev/null
	kill_at 0 "$PSEC" provision --yes >first 2>count || [ $? = 100 ] || { cat first count; return 1; }
	calls=$(tail -n 1 count)
	[ "$calls" -gt 50 ]
	whole_identity
	wait_until 10 nothing_is_loaded || { cat loaded; return 1; }
	for part in 3 5 7; do
		"$PSEC" provision reset --yes >/dev/null
		kill_at $((calls * part / 10)) "$PSEC" provision --yes >killed 2>&1 3>&- &
		killed=$!
		looks=0
		while kill -0 "$killed" 2>/dev/null; do
			"$PSEC" provision status >seen 2>&1 || [ $? = 1 ] || [ $? = 75 ] || { cat seen; return 1; }
			looks=$((looks + 1))
		done
		wait "$killed" || { cat killed; return 1; } # 0: it was killed
		[ "$looks" -gt 0 ]
		wait_until 10 nothing_is_loaded || { cat loaded; return 1; }
		"$PSEC" provision --yes >again 2>&1 || { cat again; return 1; }
		whole_identity
		wait_until 10 nothing_is_loaded || { cat loaded; return 1; }
	done
}

@test "without its manager the TPM is told to be out of reach" {
	kill "$MANAGER"
	wait "$MANAGER" || true
	run "$PSEC" provision status
	[ "$status" != 0 ]
	grep -q "cannot reach the TPM at '$PSEC_TCTI'" <<<"$output"
	MANAGER=
}
