#!/usr/bin/env bats
# The CA among the programs it is made for: a broker that asks for certificates, and CAs of others behind it.
load ../cli/helper
load ../cli/soft_board

setup() {
	own_folder
	soft_board
}
teardown() {
	[ -z "${BROKER:-}" ] || kill "$BROKER" 2>/dev/null || true
	[ -z "${GUEST:-}" ] || kill "$GUEST" 2>/dev/null || true
}

# ---- the broker ----

broker() {
	PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.pem -days 2 \
		-subj /CN=broker -addext subjectAltName=IP:127.0.0.1 2>>openssl.log
	cat ca/root.pem ca/intermediate.pem >bundle.pem
	cat >mosquitto.conf <<-C
		listener $PORT 127.0.0.1
		cafile $DIR/bundle.pem
		certfile $DIR/server.pem
		keyfile $DIR/server.key
		crlfile $DIR/psec.crl
		require_certificate true
		use_identity_as_username true
		allow_anonymous false
		user $(id -un)
	C
	mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
	BROKER=$!
	wait_until 10 grep -q running mosquitto.log
}
publish() {
	mosquitto_pub -h 127.0.0.1 -p "$PORT" --cafile server.pem --cert "$1/chain.pem" --key "$1/key.key" -q 1 -t t -m x
}

@test "the broker refuses a revoked site once it has the new list; others stay, and so does a standing connection" {
	command -v mosquitto >/dev/null || skip "no mosquitto"
	ca init --no-ek-check >said
	asked a A1-000001 hof-7
	certified a
	asked b A1-000002 hof-8
	certified b
	ca crl --out psec.crl
	made=$(date +%s)
	broker
	publish a
	publish b
	grep -q "u'hof-7'" mosquitto.log
	mosquitto_sub -h 127.0.0.1 -p "$PORT" --cafile server.pem --cert a/chain.pem --key a/key.key -i guest -t t >heard 3>&- &
	GUEST=$!
	wait_until 10 grep -q 'as guest' mosquitto.log

	ca revoke hof-7 --reason key-compromise
	wait_until 3 sh -c "[ \$(date +%s) -gt $made ]" # the newest of two lists counts; their times are whole seconds
	ca crl --out psec.crl
	publish a # it does not know yet
	kill -HUP "$BROKER"
	wait_until 10 grep -q 'Reloading config' mosquitto.log
	wait_until 10 sh -c '! mosquitto_pub -h 127.0.0.1 -p '"$PORT"' --cafile server.pem --cert a/chain.pem --key a/key.key -q 1 -t t -m x'
	publish b
	kill -0 "$GUEST"
	run ! grep -q 'guest disconnected' mosquitto.log

	# and after a restart
	kill "$BROKER"
	wait "$BROKER" || true
	rm mosquitto.log # or the words of the one that ended are taken for the new one's
	mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
	BROKER=$!
	wait_until 10 grep -q running mosquitto.log
	run publish a
	[ "$status" != 0 ]
	publish b
}

@test "the broker takes what both intermediates signed, and refuses what the old one revoked" {
	command -v mosquitto >/dev/null || skip "no mosquitto"
	ca init --no-ek-check >said
	asked a A1-000001 hof-7
	certified a
	asked b A1-000002 hof-8
	certified b
	ca rotate
	asked c A1-000003 hof-9
	certified c
	ca revoke hof-7
	ca crl --out psec.crl
	broker
	run publish a
	[ "$status" != 0 ]
	publish b
	publish c
}

# ---- a CA of one's own ----

# The program of the manual, with its folder put in.
signer_of_the_manual() {
	program_of_the_manual psec-provision-ca.1 'With *openssl ca*' | sed "s|/srv/ca|$DIR/theirs|" >signer
	grep -q 'openssl ca' signer
	chmod 755 signer
}

own_ca() {
	mkdir theirs
	ca_sections >theirs/openssl.cnf
	cat >>theirs/openssl.cnf <<-C
		[idevid]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		[ldevid]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = clientAuth
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		[ca]
		default_ca = mid_ca
		[mid_ca]
		database = $DIR/theirs/index
		new_certs_dir = $DIR/theirs
		rand_serial = yes
		certificate = $DIR/theirs/mid.pem
		private_key = $DIR/theirs/mid.key
		default_md = sha256
		policy = any
		unique_subject = no
		[any]
		commonName = supplied
		serialNumber = supplied
	C
	: >theirs/index
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout theirs/root.key -out theirs/root.pem -days 30 \
		-subj '/CN=Their root' -config theirs/openssl.cnf -extensions root
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout theirs/mid.key -out mid.csr -subj '/CN=Their issuing' \
		-config theirs/openssl.cnf
	openssl x509 -req -in mid.csr -CA theirs/root.pem -CAkey theirs/root.key -CAcreateserial -out theirs/mid.pem -days 30 \
		-extfile theirs/openssl.cnf -extensions mid
	cat theirs/root.pem theirs/mid.pem >theirs/chain.pem
} 2>>openssl.log

@test "openssl ca signs behind the door; registry, judgement and challenge stay ours" {
	own_ca
	signer_of_the_manual
	ca init --no-ek-check --signer "$DIR/signer" --chain theirs/chain.pem >said
	grep -q 'root: CN=Their root' said
	asked a A1-000001
	certified a 2>>openssl.log
	openssl verify -x509_strict -CAfile theirs/root.pem -untrusted a/chain.pem a/chain.pem
	openssl x509 -in a/chain.pem -noout -enddate | grep -q 'Dec 31 23:59:59 9999'
	[ "$(grep -c BEGIN a/chain.pem)" = 2 ] # the intermediate is ours to add
	run ! grep -q '"iak"' a/certificate.json
	asked b A1-000002 hof-7
	certified b 2>>openssl.log
	openssl verify -purpose sslclient -CAfile theirs/root.pem -untrusted b/chain.pem b/chain.pem
	# the same answer again asks nobody
	n=$(wc -l <theirs/index)
	ca sign b/answer.json 2>/dev/null | cmp - b/certificate.json
	[ "$(wc -l <theirs/index)" = "$n" ]
	run ca crl
	[ "$status" = 77 ]
	[[ $output == *"its CA makes the revocation list"* ]]
	run ca rotate
	[ "$status" = 77 ]
}

# refused WORDS: a signer whose text comes on standard input; nothing is registered
refused() {
	{ echo '#!/bin/sh'; cat; } >signer
	run ca sign a/answer.json
	[[ $status = 65 || $status = 77 ]] || { echo "$status $output"; false; }
	[[ $output == *"$1"* ]] || { echo "not '$1': $output"; false; }
	[ -z "$(ca list)" ]
}

@test "what a signer gives is believed only when it is right" {
	own_ca
	signer_of_the_manual
	cp signer good
	ca init --no-ek-check --signer "$DIR/signer" --chain theirs/chain.pem >said
	asked a A1-000001 hof-7
	refused 'gave no certificate' <<<'echo words'
	refused 'exit status 3' <<<'exit 3'
	refused 'killed by signal' <<<'kill -9 $$'
	refused 'more than 65536 bytes' <<<'head -c 70000 /dev/zero'
	refused 'certified another key' <<<"cat $DIR/theirs/mid.pem"
	refused 'gave the names' <<<"$(sed 1d good | sed 's|^openssl ca|cn=other; openssl ca|')"
	refused 'for longer than it was asked' <<<"$(sed 1d good | sed 's|^openssl ca|to=20991231000000Z; openssl ca|')"
	refused 'certificate of a CA' <<<"$(sed 1d good | sed 's|^openssl ca|p=mid; openssl ca|')"
	refused 'what the signer' <<<"$(sed 1d good | sed 's|^openssl ca|p=idevid; openssl ca|')" # no client's
	mkdir elsewhere
	mv theirs elsewhere
	own_ca
	mv theirs other
	mv elsewhere/theirs .
	refused 'what the signer' <<<"$(sed 1d good | sed "s|$DIR/theirs|$DIR/other|; s|^openssl ca|sed 's;/theirs;/other;' $DIR/other/openssl.cnf >\$t/cnf; d=\$t; mv \$t/cnf \$t/openssl.cnf; openssl ca|")"
	cp good signer
	certified a 2>>openssl.log
	openssl verify -purpose sslclient -CAfile theirs/root.pem -untrusted a/chain.pem a/chain.pem
}

@test "a signer that others can write, and one that is no program, are refused" {
	own_ca
	signer_of_the_manual
	chmod 777 signer
	run ca init --no-ek-check --signer "$DIR/signer" --chain theirs/chain.pem
	[ "$status" = 77 ]
	chmod 644 signer
	run ca init --no-ek-check --signer "$DIR/signer" --chain theirs/chain.pem
	[ "$status" = 65 ]
	chmod 755 signer
	run ca init --no-ek-check --signer "$DIR/signer" --chain theirs/mid.pem
	[ "$status" = 65 ]
	[[ $output == *"no root"* ]]
	[ ! -e ca ]
}
