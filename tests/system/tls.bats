# TLS with a key that stays in the TPM: openssl s_server and mosquitto are the other side, swtpm is the TPM.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"
. "$BATS_TEST_DIRNAME/swtpm.bash"
. "$BATS_TEST_DIRNAME/tls.bash"

setup_file() {
	# Not $BATS_FILE_TMPDIR: a socket's path has room for 107 bytes.
	export FOLDER
	FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/psec-tls.XXXXXX")
	cd "$FOLDER"
	tcti=$(swtpm_start "$FOLDER/tpm")
	tls_make
}
teardown_file() {
	swtpm_stop "$FOLDER/tpm"
	rm -rf "$FOLDER"
}

setup() {
	cd "$FOLDER"
	server= tcti=swtpm:path=$FOLDER/tpm/s other=
	[ -e tpm/pid ] || swtpm_start tpm
}
teardown() {
	[ -z "$server" ] || { kill "$server" && wait "$server" || true; }
	[ -z "$other" ] || swtpm_stop "$other"
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || cat server.log
	rm -f server.log
}

connect() { "$client" connect "$tcti" ca.pem house.pem ldevid.key "$port" "$@"; }
# The file that is locked is named by the TCTI's text.
lock_file() { ls {/run/lock,/tmp}/psec-tpm-"$(printf %s "$tcti" | sha256sum | cut -c 1-32)" 2>/dev/null; }
# hold_lock: from here on another has the TPM, until let_lock
hold_lock() { exec {lock}<"$(lock_file)" && flock "$lock"; }
let_lock() { flock -u "$lock" && exec {lock}<&-; } # children have it open, too
transients() { TPM2TOOLS_TCTI=$tcti tpm2_getcap handles-transient; }

@test "openssl s_server takes the certificate and the signature by the TPM" {
	server_start
	run -0 connect
	[ "$output" = "connected, TLSv1.3 TLS_AES_256_GCM_SHA384" ]
	grep -qx "Peer certificate: CN = house" server.log
	grep -qx "Signature type: ECDSA" server.log
	grep -qx "Hash used: SHA256" server.log
	grep -qx "Verification: OK" server.log
}

@test "a server that knows another CA does not take it: the server did judge" {
	cp ca.pem right.pem
	cp other-ca.pem ca.pem
	server_start || { cp right.pem ca.pem; false; }
	cp right.pem ca.pem
	run -1 connect
	[[ $output == *"unknown ca"* ]]
}

@test "the key exchange may be on P-256, the TPM key's own curve" {
	server_start -groups P-256
	connect
	grep -q "Supported groups:.*secp256r1" server.log
}

@test "mosquitto answers CONNACK and knows us by the certificate's name" {
	broker_start
	connect mqtt
	wait_until 5 grep -q "u'house'" server.log
	run "$client" connect - ca.pem file.pem file.key "$port" mqtt
	wait_until 5 grep -q "u'file'" server.log
}

@test "a certificate for another key is refused before any connection" {
	run -1 "$client" connect "$tcti" ca.pem file.pem ldevid.key 1
	[ "$output" = "key and certificate: key values mismatch" ]
	run -1 "$client" connect "$tcti" ca.pem house.pem file.key 1
	[ "$output" = "key and certificate: key values mismatch" ]
}

@test "a key in a plain file is read and used as before, with the provider loaded" {
	server_start
	"$client" connect "$tcti" ca.pem file.pem file.key "$port"
	"$client" elsewhere "$tcti"
}

@test "the private key cannot be had" {
	run -0 "$client" leak "$tcti" ldevid.key
	[ "$(grep -c ': refused$' <<<"$output")" = 12 ]
	# The same ways give a key of a plain file: they are ways.
	run -1 "$client" leak "$tcti" file.key
	[ "$(grep -c ': GIVEN$' <<<"$output")" -ge 8 ]
}

@test "a signature is by SHA-256 and another digest is refused in words" {
	printf words >words.txt
	"$client" sign "$tcti" ldevid.key SHA2-256 >words.sig
	openssl dgst -sha256 -verify ldevid.pub -signature words.sig words.txt
	run -1 "$client" sign "$tcti" ldevid.key SHA384
	[ "$output" = "the signature: the TPM key cannot be used: the TPM key signs with SHA-256 only, not with SHA384" ]
}

@test "a server's certificate of another CA is refused, by the default provider" {
	server_start
	run -1 "$client" connect "$tcti" other-ca.pem house.pem ldevid.key "$port"
	[ "$output" = "handshake: certificate verify failed" ]
}

@test "the key's file on another board is of no use, and the words say so" {
	server_start
	other=$FOLDER/other
	tcti=$(swtpm_start "$other")
	run -1 connect
	[[ $output == "handshake: the TPM refused: "*"the TPM has no SRK"* ]]
	"$client" make-key "$tcti" another.key >/dev/null
	run -1 connect
	[[ $output == "handshake: the TPM refused: the key cannot be loaded: "* ]]
	[[ $output == *"another TPM"* ]]
}

@test "a TPM that another holds is waited for with a bound, told in words, and works again" {
	server_start
	connect
	hold_lock
	mkfifo go.$BATS_TEST_NUMBER
	connect wait 400 again <go.$BATS_TEST_NUMBER >said 2>words 3>&- &
	pid=$!
	exec {go}>go.$BATS_TEST_NUMBER
	began=${EPOCHREALTIME/[.,]/}
	wait_until 10 grep -q . words
	took=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
	[ "$took" -ge 350 ]
	[ "$took" -lt 5000 ]
	grep -q "^handshake: the TPM is busy: the TPM is in use: waited 400 ms" words
	let_lock
	echo go >&"$go"
	wait "$pid"
	grep -q ^connected said
}

@test "a TPM that has gone is told in words, and works again when it is back" {
	server_start
	swtpm_stop tpm
	mkfifo go.$BATS_TEST_NUMBER
	connect again <go.$BATS_TEST_NUMBER >said 2>words 3>&- &
	pid=$!
	exec {go}>go.$BATS_TEST_NUMBER
	wait_until 10 grep -q . words
	cat words
	[[ "$(cat words)" == "handshake: the TPM does not answer: cannot reach the TPM at '$tcti'"* ]]
	swtpm_start "$FOLDER/tpm"
	echo go >&"$go"
	wait "$pid"
	grep -q ^connected said
}

@test "six clients at once connect, each five times, and nothing stays in the TPM" {
	broker_start
	pids=()
	for i in 1 2 3 4 5 6; do
		connect mqtt times 5 wait 20000 >times.$i 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
	[ "$(cat times.[1-6] | wc -l)" = 30 ]
	[ -z "$(transients)" ]
}

@test "six threads of one process connect at once" {
	broker_start
	connect mqtt times 5 threads 6 wait 20000 >times.all
	[ "$(wc -l <times.all)" = 30 ]
	[ -z "$(transients)" ]
}

@test "between handshakes nothing is held: another has the TPM while we are connected" {
	broker_start
	mkfifo go.$BATS_TEST_NUMBER
	connect mqtt hold <go.$BATS_TEST_NUMBER >said 3>&- &
	pid=$!
	exec {go}>go.$BATS_TEST_NUMBER
	wait_until 10 grep -q ^connected said
	flock -n "$(lock_file)" true
	[ -z "$(transients)" ]
	"$client" make-key "$tcti" meanwhile.key >/dev/null
	echo go >&"$go"
	wait "$pid"
}

@test "a key's file that is damaged, of another parent or empty is told in words" {
	head -c 200 ldevid.key >cut.key
	printf -- '-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n-----END TSS2 PRIVATE KEY-----\n' >odd.key
	: >empty.key
	# 0x81000001 as 02 05 00 81 00 00 01: another handle in its place
	openssl asn1parse -in ldevid.key -noout -out key.der
	/usr/bin/python3 -c '
d = open("key.der", "rb").read(); a, b = bytes.fromhex("02050081000001"), bytes.fromhex("02050081000002")
assert d.count(a) == 1
open("key.der", "wb").write(d.replace(a, b))'
	{ echo "-----BEGIN TSS2 PRIVATE KEY-----"; base64 key.der; echo "-----END TSS2 PRIVATE KEY-----"; } >parent.key
	for file in cut odd empty parent; do
		run -1 "$client" connect "$tcti" ca.pem house.pem $file.key 1
		echo "$file: $output"
		[[ $output == "key and certificate: "* ]]
		[[ $file = empty || $output == *"the TPM key cannot be used: "* ]]
	done
	[[ $output == *"parent is 0x81000002, not the SRK"* ]]
}

@test "a key behind other text in its file is found" {
	{ echo "A board's key."; cat house.pem ldevid.key; } >both.pem
	server_start
	"$client" connect "$tcti" ca.pem house.pem both.pem "$port"
}

@test "tpm2-openssl reads the same file, and signs with it" {
	export TPM2OPENSSL_TCTI=$tcti
	run -0 openssl pkey -provider tpm2 -provider default -in ldevid.key -pubout
	[ "$output" = "$(cat ldevid.pub)" ]
	echo words >words
	openssl pkeyutl -provider tpm2 -provider default -sign -inkey ldevid.key -rawin -digest sha256 -in words -out words.sig
	openssl dgst -sha256 -verify ldevid.pub -signature words.sig words
}
