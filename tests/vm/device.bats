#!/usr/bin/env bats
# psec where the TPM is a device: run by tests/vm/run in a machine of its own, as root. $VM_WORK has the roots of its TPM's maker and
# a recovery certificate. One machine, one TPM: the tests come one after the other, on one site.
. "$BATS_TEST_DIRNAME/../system/provision.bash"
. "$BATS_TEST_DIRNAME/../system/tls.bash"

setup_file() {
	export SITE=/run/site
	mkdir "$SITE"
	cp "$VM_WORK"/{ek-roots,recovery}.pem "$SITE"
}
setup() {
	cd "$SITE"
	export PSEC_SITE=$SITE HOME=$SITE
	unset PSEC_TCTI
	export TPM2TOOLS_TCTI=device:/dev/tpmrm0
}

# What is loaded in the TPM itself: behind its resource manager each program sees only its own.
nothing_is_loaded() {
	{
		tpm2_getcap -T device:/dev/tpm0 handles-transient
		tpm2_getcap -T device:/dev/tpm0 handles-loaded-session
		tpm2_getcap -T device:/dev/tpm0 handles-saved-session
	} >loaded
	[ ! -s loaded ] || { cat loaded; false; }
}

@test "a board at a site gets its identity on /dev/tpmrm0, by the serial of its firmware" {
	"$PSEC" init --id house --tier prod --yes >/dev/null
	printf 'tpm:\n  recovery: recovery.pem\n  ek_roots: ek-roots.pem\n  pcrs: [7, 16]\n' >>site.yaml
	"$PSEC" provision ca init --ek-roots ek-roots.pem >/dev/null
	"$PSEC" provision --yes
	whole_identity
	run "$PSEC" provision status --json
	[ "$status" = 0 ]
	echo "$output" >status.json
	[ "$(value status.json serial)" = EX2-000017 ]
	[ "$(value status.json ek.checked)" = true ]
	nothing_is_loaded
}

@test "killed at any moment it leaves nothing loaded, and the next run completes" {
	local n
	RANDOM=7
	for ((n = 0; n < 5; n++)); do
		timeout --foreground -s KILL "0.$(printf %03d $((RANDOM % 700)))" "$PSEC" provision renew --force >/dev/null 2>&1 || true
		nothing_is_loaded
	done
	"$PSEC" provision renew --force
	"$PSEC" provision --yes
	whole_identity
}

@test "psec and tpm2-tools have the TPM at once" {
	local pids=() n
	for n in 1 2 3 4 5 6; do
		"$PSEC" provision status >"said.$n" 2>&1 &
		pids+=($!)
		tpm2_getrandom -o "random.$n" 16 &
		pids+=($!)
	done
	"$PSEC" provision renew --force
	for n in "${pids[@]}"; do wait "$n"; done
	nothing_is_loaded
}

@test "openssl s_server takes a signature by the key behind /dev/tpmrm0" {
	local tcti=device:/dev/tpmrm0
	mkdir tls
	cd tls
	tls_make
	server_start
	run "$client" connect "$tcti" ca.pem house.pem ldevid.key "$port"
	kill "$server"
	[ "$output" = "connected, TLSv1.3 TLS_AES_256_GCM_SHA384" ]
	grep -qx "Peer certificate: CN = house" server.log
	nothing_is_loaded
}

@test "/dev/tpm0 opens once: who finds it held is told so, and has it when it is free" {
	exec 7<>/dev/tpm0
	run env PSEC_TCTI=device:/dev/tpm0 "$PSEC" provision status
	exec 7>&-
	[ "$status" = 75 ]
	[[ "$output" == *"'/dev/tpm0' is held by another program"*"/dev/tpmrm0"* ]]
	PSEC_TCTI=device:/dev/tpm0 "$PSEC" provision status
	nothing_is_loaded
}

@test "killed on /dev/tpm0 it leaves what the next one flushes" {
	local n
	RANDOM=7
	export PSEC_TCTI=device:/dev/tpm0
	for ((n = 0; n < 5; n++)); do
		timeout --foreground -s KILL "0.$(printf %03d $((RANDOM % 700)))" "$PSEC" provision renew --force >/dev/null 2>&1 || true
		"$PSEC" provision status >said || [ $? = 1 ]
		nothing_is_loaded
	done
	"$PSEC" provision renew --force
	"$PSEC" provision --yes
}

@test "who may not use the device is told what to do" {
	mkdir -p other
	chown 65534 other
	run setpriv --reuid 65534 --clear-groups "$PSEC" -C other provision status
	[ "$status" = 77 ]
	[[ "$output" == *"you may not use the TPM at '/dev/tpmrm0'"*"group tss"* ]]
}

# ---- the state partition, as psec-provision(1) has it ---------------------------------------------------------------------------

# opened: as psec-state-crypt@.service opens it
opened() {
	local line
	line=$(sed -n 's/^ExecStart=//p' "$TOP/psecd/install/psec-state-crypt@.service.in")
	line=${line//@BINDIR@/$B/bin}
	line=${line//%f/$partition}
	line=${line//\/var\/lib\/psec-tpm//run/psec-tpm}
	eval "$line"
}

@test "the state partition opens by the unit's line; what starts anew does not, until it has a signed policy" {
	local partition expected hash
	cp -a state/tpm/storage.json state/tpm/policies -t "$(mkdir /run/psec-tpm && echo /run/psec-tpm)"
	truncate -s 32M /run/disk
	partition=$(losetup --find --show /run/disk)
	"$PSEC" provision storage-key --fd 1 | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --key-file - "$partition"
	opened
	echo precious | dd of=/dev/mapper/psec-state conv=fsync 2>/dev/null
	cryptsetup close psec-state
	hash=$(echo update | sha256sum | cut -c1-64)
	expected=$(tpm2_pcrread sha256:16 | awk '/16 *:/ { sub(".*0x", ""); print tolower($0) }')
	expected=$(/usr/bin/python3 -c 'import hashlib, sys
print(hashlib.sha256(bytes.fromhex(sys.argv[1] + sys.argv[2])).hexdigest())' "$expected" "$hash")
	"$PSEC" provision policy make --expect "16=$expected" --out new.json
	"$PSEC" provision ca policy --out signed.json new.json
	"$PSEC" provision policy add signed.json
	tpm2_pcrextend "16:sha256=$hash"
	run opened # by the policies that lie there
	[ "$status" != 0 ]
	[ ! -e /dev/mapper/psec-state ]
	cp -a state/tpm/policies /run/psec-tpm/
	opened
	[ "$(head -c 8 /dev/mapper/psec-state)" = precious ]
	cryptsetup close psec-state
	losetup -d "$partition"
}

@test "at 1970 what is installed stays in use, and the next valid time checks it in full" {
	local now
	now=$(date +%s)
	date -s @86400 >/dev/null
	run "$PSEC" provision status --json
	date -s "@$now" >/dev/null
	echo "$output" >status.json
	[ "$(value status.json ldevid.time_checked)" = false ]
	"$PSEC" provision status --json >status.json
	[ "$(value status.json ldevid.time_checked)" = true ]
}
