#!/usr/bin/env bats
# psec provision ca as a factory's person uses it; boards are `test_ca make`, which has its keys in files. openssl is the
# second opinion.
load helper
load soft_board

setup() {
	own_folder
	soft_board
}

made() { ca init --no-ek-check >said; }
json() { python3 -c "import json,sys; v=json.load(open(sys.argv[1])); print($2)" "$1"; }

enrol() {
	asked "$@"
	certified "$1"
}

@test "a CA is made whole, for its owner alone, and openssl agrees with it" {
	umask 0
	run --separate-stderr ca init --name 'Example Energy' --no-ek-check
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output == *"root: CN=Example Energy root"* ]]
	[[ $output == *"$(openssl x509 -in ca/root.pem -outform DER | sha256sum | cut -c1-64)"* ]]
	[ "$(stat -c %a ca)" = 700 ]
	[ -z "$(find ca -type f ! -perm 600)" ]
	openssl verify -x509_strict -CAfile ca/root.pem ca/intermediate.pem
	openssl x509 -in ca/root.pem -noout -text >text
	grep -q 'CA:TRUE, pathlen:1' text
	grep -q 'CN = Example Energy root' text
	run ! openssl pkey -in ca/keys-1/root.key -noout -passin pass:
	openssl pkey -in ca/keys-1/root.key -noout -passin file:ca/passphrase
	# a second init touches nothing
	find ca -type f -exec sha256sum {} + | sort >before
	run ca init --no-ek-check
	[ "$status" = 77 ]
	find ca -type f -exec sha256sum {} + | sort | cmp before -
	[ "$(ls -A | grep -c new)" = 0 ]
}

@test "which TPMs are believed must be said, and a file without a certificate says nothing" {
	run ca init
	[ "$status" = 64 ]
	[[ $output == *"--ek-roots"* ]]
	echo words >roots
	run ca init --ek-roots roots
	[ "$status" = 65 ]
	[ ! -e ca ] && [ ! -e .ca.new ]
}

@test "odd names and half options are refused before anything is made" {
	local args
	for args in '--name a+b' '--name a/b' '--name a#b' "--name ''" '--name ä' '--signer /bin/true' '--chain x' \
		'--signer true --chain x'; do
		eval "run ca init --no-ek-check $args"
		[ "$status" = 64 ] || { echo "$args: $status $output"; false; }
		[ ! -e ca ]
	done
	made
	for args in 'a/b' '' 'a b' 'ä'; do
		run ca serial "$args"
		[ "$status" = 64 ]
	done
}

@test "a board is enrolled step by step, and openssl finds what must be in its certificates" {
	made
	enrol a A1-000001
	openssl verify -x509_strict -CAfile a/root.pem -untrusted a/chain.pem a/chain.pem
	openssl x509 -in a/chain.pem -noout -text >text
	grep -q 'Subject: CN = A1-000001, serialNumber = A1-000001' text
	grep -q 'Not After : Dec 31 23:59:59 9999 GMT' text
	grep -q 'Digital Signature' text
	run ! grep -q 'TLS Web' text
	enrol b A1-000002 hof-7
	openssl verify -x509_strict -purpose sslclient -CAfile b/root.pem -untrusted b/chain.pem b/chain.pem
	openssl x509 -in b/chain.pem -noout -text >text
	grep -q 'Subject: CN = hof-7, serialNumber = A1-000002' text
	grep -q 'TLS Web Client Authentication' text
	# the certificate is for the board's key
	[ "$(openssl x509 -in b/chain.pem -noout -pubkey)" = "$(openssl pkey -in b/key.key -pubout)" ]
	# standard input and output, and the same answer once more
	ca sign - <b/answer.json 2>/dev/null | cmp - b/certificate.json
	grep -q 'no roots of TPM makers' warned
	ca list --json >list
	[ "$(json list '[(r["serial"], r["site"], r["profile"], r["state"], r["ek_checked"]) for r in v]')" = \
		"[('A1-000001', None, 'idevid', 'valid', False), ('A1-000001', None, 'iak', 'valid', False), ('A1-000002', 'hof-7', 'ldevid', 'valid', False)]" ]
	[ "$(json list 'v[0]["not_after"]')" = None ]
	[ "$(json list 'v[2]["number"].lower()')" = "$(openssl x509 -in b/chain.pem -noout -serial | sed 's/.*=//' | tr A-F a-f)" ]
	ca list --boards --json >list
	[ "$(json list '[(r["serial"], r["state"], r["certificates"]) for r in v]')" = "[('A1-000001', 'provisioned', 2), ('A1-000002', 'provisioned', 1)]" ]
}

@test "what is no request and no answer is refused by name" {
	made
	mkdir a
	"$BOARD" make a A1-000001
	ca challenge a/request.json >challenge.json 2>/dev/null
	run ca sign challenge.json
	[ "$status" = 65 ]
	[[ $output == *"is of kind challenge"* ]]
	echo '{}' >empty
	run ca sign empty
	[ "$status" = 65 ]
	run ca sign nothing
	[ "$status" = 74 ]
	sed 's/A1-000001/A1-000009/' a/request.json >forged
	run ca sign forged
	[ "$status" = 77 ]
	[[ $output == *"key.certify"* ]]
	head -c 70000 /dev/zero | tr '\0' ' ' >big
	run ca sign big
	[ "$status" = 65 ]
	[ -z "$(ca list)" ]
}

# ek_root: a maker's root, an intermediate, and the board's endorsement certificate, with the extension EKU $1
ek_chain() {
	ca_sections >ek.cnf
	cat >>ek.cnf <<-C
		[ek]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,keyAgreement
		authorityKeyIdentifier = keyid
		extendedKeyUsage = $1
		[ca]
		default_ca = mid_ca
		[mid_ca]
		database = index
		crlnumber = number
		default_md = sha256
		default_crl_days = 30
	C
	: >index
	echo 01 >number
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.crt -days 30 \
		-subj '/CN=Maker root' -config ek.cnf -extensions root
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout mid.key -out mid.csr -subj '/CN=Maker mid' -config ek.cnf
	openssl x509 -req -in mid.csr -CA root.crt -CAkey root.key -CAcreateserial -out a/ek-chain.pem -days 30 -extfile ek.cnf -extensions mid
	openssl req -new -key a/ek.key -out ek.csr -subj '/CN=TPM' -config ek.cnf
	openssl x509 -req -in ek.csr -CA a/ek-chain.pem -CAkey mid.key -CAcreateserial -out a/ek-cert.pem -days 30 -extfile ek.cnf -extensions ek
} 2>>openssl.log

@test "an endorsement certificate is believed under its maker's root alone" {
	mkdir a
	"$BOARD" make a A1-000001
	ek_chain 2.23.133.8.1
	"$BOARD" request a
	ca init --ek-roots root.crt >said
	run --separate-stderr ca sign a/request.json --out a/challenge.json
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	"$BOARD" answer a a/challenge.json >a/answer.json
	ca sign a/answer.json >a/certificate.json
	ca list --json >list
	[ "$(json list 'v[0]["ek_checked"]')" = True ]

	# the maker revoked its intermediate
	openssl ca -config ek.cnf -name mid_ca -keyfile root.key -cert root.crt -revoke a/ek-chain.pem 2>>openssl.log
	openssl ca -config ek.cnf -name mid_ca -keyfile root.key -cert root.crt -gencrl -out root.crl 2>>openssl.log
	cat root.crt root.crl >ca/ek-roots.pem
	run ca sign a/request.json
	[ "$status" = 77 ]
	[[ $output == *"endorsement certificate"*"CN=Maker mid"*"revoked"* ]]

	# another maker's
	cp root.crt old.crt
	ek_chain 2.23.133.8.1
	cp old.crt ca/ek-roots.pem
	"$BOARD" request a
	run ca sign a/request.json
	[ "$status" = 77 ]
	[[ $output == *"not signed by a given root"*"'ca/ek-roots.pem'"*"add its root"* ]]

	# a web server's certificate for that key
	ek_chain serverAuth
	cp root.crt ca/ek-roots.pem
	"$BOARD" request a
	run ca sign a/request.json
	[ "$status" = 77 ]
	[[ $output == *"2.23.133.8.1"* ]]
}

@test "revoked is refused after the new list, and openssl reads it" {
	made
	enrol a A1-000001 hof-7
	enrol b A1-000002 hof-8
	ca crl --out psec.crl
	[ "$(stat -c %a psec.crl)" = 644 ]
	openssl crl -in psec.crl -noout -crlnumber >first
	openssl verify -crl_check_all -CRLfile psec.crl -CAfile a/root.pem -untrusted a/chain.pem a/chain.pem
	run ca revoke hof-7 --reason key-compromise
	[ "$status" = 0 ]
	[[ $output == "1 certificate revoked"* ]]
	ca crl --out psec.crl --valid 2d
	run openssl verify -crl_check -CRLfile psec.crl -CAfile a/root.pem -untrusted a/chain.pem a/chain.pem
	[[ $output == *"certificate revoked"* ]]
	openssl verify -crl_check_all -CRLfile psec.crl -CAfile b/root.pem -untrusted b/chain.pem b/chain.pem
	openssl crl -in psec.crl -noout -text >text
	grep -q 'Key Compromise' text
	grep -qi "$(openssl x509 -in a/chain.pem -noout -serial | sed 's/.*=//')" text
	run ! cmp <(openssl crl -in psec.crl -noout -crlnumber) first
	cmp psec.crl ca/crl.pem
	run ca revoke hof-9
	[ "$status" = 65 ]
	run ca revoke hof-7
	[[ $output == "0 certificates revoked"* ]]
	ca list hof-7 --json >list
	[ "$(json list 'v[0]["state"], v[0]["reason"]')" = "revoked key-compromise" ]
}

@test "a scrapped board stays out, a reworked one comes in again" {
	made
	enrol a A1-000001
	enrol b A1-000002
	run ca scrap A1-000001
	[ "$status" = 64 ]
	ca scrap A1-000001 --reason 'cracked'
	run ca sign a/request.json
	[ "$status" = 77 ]
	ca rework A1-000002 --reason 'new TPM'
	mkdir c
	"$BOARD" make c A1-000002
	ca sign c/request.json >c/challenge.json 2>/dev/null
	ca list --boards --json >list
	[ "$(json list '[(r["state"], r["reason"], r["certificates"], r["who"].split()[0]) for r in v]')" = \
		"[('scrapped', 'cracked', 0, 'uid'), ('new', 'new TPM', 0, 'uid')]" ]
}

@test "a passphrase that is wrong, missing, short or for others to read opens nothing" {
	echo 'correct horse battery' >pass
	chmod 600 pass
	ca init --no-ek-check --passphrase-file pass >said
	[ ! -e ca/passphrase ]
	run ca crl
	[ "$status" = 77 ]
	[[ $output == *"--passphrase-file"* ]]
	ca crl --passphrase-file pass >crl
	echo 'incorrect horse' >wrong
	chmod 600 wrong
	run ca crl --passphrase-file wrong
	[ "$status" = 77 ]
	[[ $output == *passphrase* ]]
	[[ $output != *horse* ]]
	chmod 640 pass
	run ca crl --passphrase-file pass
	[ "$status" = 77 ]
	[[ $output == *"chmod 600"* ]]
	echo short >wrong
	run ca crl --passphrase-file wrong
	[ "$status" = 65 ]
	run ca crl --passphrase-file nothing
	[ "$status" = 74 ]
	run ca crl --passphrase-file .
	[ "$status" = 65 ]
	# no word of it anywhere but in its file
	run ! grep -rqF 'correct horse battery' ca
}

@test "a file that is named must be a regular one: a fifo is told, not waited for; a pipe that is handed over is read" {
	made
	mkfifo fifo
	asked a A1-000001
	a_file() { run timeout 20 "$PSEC" provision "$@"; echo "$output"; [ "$status" = 65 ]; [[ $output == *"'fifo' is a fifo, must be a regular file" ]]; }
	a_file ca sign --ca ca fifo
	a_file ca challenge --ca ca fifo
	a_file ca policy --ca ca fifo
	a_file ca backup --ca ca --recovery fifo backup.pem
	a_file ca restore --ca copy fifo
	a_file ca init --ca another --ek-roots fifo
	a_file --batch fifo --ca ca
	run timeout 20 "$PSEC" provision ca sign --ca ca .
	[ "$status" = 65 ]
	[[ $output == *"'.' is a folder, must be a regular file" ]]
	"$PSEC" provision ca challenge --ca ca <(cat a/request.json) --out again.json
	grep -q challenge again.json
}

@test "a restore leaves no core file with a passphrase in it" {
	local pid
	made
	mkfifo fifo
	ulimit -S -c "$(ulimit -H -c)"
	"$PSEC" provision ca restore - --ca copy --passphrase-file ca/passphrase < <(cat fifo) >said 2>&1 3>&- & pid=$!
	wait_until 10 grep -q '^Max core file size  *0  *0 ' "/proc/$pid/limits"
	timeout 10 sh -c 'echo words >fifo'
	wait "$pid" || [ "$?" = 65 ]
	grep -q 'no backup of a CA' said
}

@test "rotate makes a new intermediate; what the old one signed stays good and can be revoked" {
	made
	enrol a A1-000001 hof-7
	ca rotate
	enrol b A1-000002 hof-8
	[ "$(grep -c BEGIN ca/intermediate.pem)" = 2 ]
	ca crl --out psec.crl
	[ "$(grep -c BEGIN psec.crl)" = 3 ]
	for x in a b; do openssl verify -crl_check_all -CRLfile psec.crl -CAfile ca/root.pem -untrusted ca/intermediate.pem $x/chain.pem; done
	ca revoke hof-7
	ca crl --out psec.crl
	run openssl verify -crl_check_all -CRLfile psec.crl -CAfile ca/root.pem -untrusted ca/intermediate.pem a/chain.pem
	[[ $output == *revoked* ]]
	openssl verify -crl_check_all -CRLfile psec.crl -CAfile ca/root.pem -untrusted ca/intermediate.pem b/chain.pem
}

@test "rotate changes the passphrase of all keys, and a second call is no harm" {
	made
	cp ca/passphrase old
	echo 'another passphrase' >new
	chmod 600 new
	ca rotate --new-passphrase-file new
	ca rotate --new-passphrase-file new
	cmp new ca/passphrase
	run ca crl --passphrase-file old
	[ "$status" = 77 ]
	ca crl >crl
	ca rotate
	[ "$(ls -d ca/keys-*)" = ca/keys-3 ]
	for k in ca/keys-3/*.key; do openssl pkey -in $k -noout -passin file:new; done
	# as if killed after the keys changed and before the passphrase's file did
	cp old ca/passphrase
	run ca crl
	[ "$status" = 77 ]
	ca rotate --new-passphrase-file new
	ca crl >crl
}

@test "a backup is one encrypted file that psec restores and openssl opens" {
	made
	enrol a A1-000001 hof-7
	run ca backup backup.pem
	[ "$status" = 0 ]
	[ "$(stat -c %a backup.pem)" = 600 ]
	run ! grep -q A1-000001 backup.pem
	"$PSEC" provision ca restore --ca copy --passphrase-file ca/passphrase backup.pem
	[ ! -e copy/passphrase ]
	cmp ca/keys-1/root.key copy/keys-1/root.key
	"$PSEC" provision ca sign --ca copy --passphrase-file ca/passphrase a/answer.json 2>/dev/null | cmp - a/certificate.json
	run "$PSEC" provision ca restore --ca copy --passphrase-file ca/passphrase backup.pem
	[ "$status" = 77 ]
	head -c 900 backup.pem >cut.pem
	run "$PSEC" provision ca restore --ca other --passphrase-file ca/passphrase cut.pem
	[ "$status" = 65 ]
	[ ! -e other ] && [ ! -e .other.new ]
}

@test "a backup for a recovery key is opened by the lines of the manual" {
	made
	ca serial EX2 --count 700 >/dev/null # several pieces
	openssl req -x509 -newkey rsa:2048 -nodes -keyout recovery.key -out recovery.pem -days 2 -subj /CN=recovery 2>/dev/null
	ca backup --recovery recovery.pem ca-backup.pem
	run "$PSEC" provision ca restore --ca copy ca-backup.pem
	[ "$status" = 77 ]
	[[ $output == *"recovery key"* ]]
	awk '/^csplit/,/^for f/' "$TOP/man/psec-provision-ca.1.scd" | sed 's/\\\*/*/g' >lines
	[ "$(wc -l <lines)" = 2 ]
	sh -e lines >sizes
	[ "$(wc -l <sizes)" -ge 2 ]
	"$PSEC" provision ca restore --ca copy plain
	cmp ca/policy.pem copy/policy.pem
	[ "$("$PSEC" provision ca list --ca copy --boards --json | grep -c EX2-)" = 700 ]
	# pieces of two backups are no backup
	ca backup --recovery recovery.pem second.pem
	{ head -n 1 plain; tail -n +2 plain | sed 's/"id":"..../"id":"0000/'; } >mixed
	run "$PSEC" provision ca restore --ca other mixed
	[ "$status" = 65 ]
	[[ $output == *"one backup"* ]]
	{ cat plain; tail -n 1 plain; } >twice
	run "$PSEC" provision ca restore --ca other twice
	[ "$status" = 65 ]
}

@test "a broken registry, a half-made folder and no folder are told with what to do" {
	run ca list
	[ "$status" = 65 ]
	[[ $output == *"ca init"* ]]
	made
	enrol a A1-000001
	ca backup backup.pem >/dev/null
	cp ca/passphrase pass
	cp ca/ca.db good
	printf 'garbage garbage' | dd of=ca/ca.db bs=1 seek=4096 conv=notrunc status=none
	dd if=/dev/urandom of=ca/ca.db bs=4096 seek=1 count=8 conv=notrunc status=none
	for command in list 'crl' 'serial X' 'backup b2'; do
		run ca $command
		[ "$status" = 65 ] || { echo "$command: $status $output"; false; }
		[[ $output == *"restore"* ]]
	done
	[ ! -e b2 ]
	rm ca/ca.db
	run ca list
	[ "$status" = 65 ]
	[[ $output == *"no ca.db"*restore* ]]
	mv ca broken
	ca restore backup.pem --passphrase-file pass
	[ "$(ca list --json | grep -c A1-000001)" -ge 2 ]
	rm ca/keys-1/root.key
	run ca crl --passphrase-file pass
	[ "$status" = 74 ]
	[[ $output == *root.key* ]]
}

@test "a CA that was killed while it was made is not there, and the next one is" {
	local i made=0 not=0
	for i in 1 2 4 6 8 10 12 14 16 18 20 25 30 40 60 80 120; do
		rm -rf ca
		# SIGKILL i ms after its start
		python3 - "$PSEC" "$i" <<-'P'
			import subprocess, sys, time
			p = subprocess.Popen([sys.argv[1], "provision", "ca", "init", "--ca", "ca", "--no-ek-check"], stdout=subprocess.DEVNULL)
			try:
			    p.wait(int(sys.argv[2]) / 1000)
			except subprocess.TimeoutExpired:
			    p.kill()
			    p.wait()
		P
		if [ -e ca ]; then
			made=$((made + 1))
		else
			not=$((not + 1))
			ca init --no-ek-check >said
		fi
		[ ! -e .ca.new ] || { ls -la .ca.new; false; }
		ca crl >crl
	done
	[ "$not" -ge 1 ] || skip "this machine was too fast to be killed in time"
}

@test "a change of the passphrase that was killed is finished by the next call, and no key is lost" {
	local i
	made
	printf 'passphrase number 0\n' >0
	chmod 600 0
	ca rotate --new-passphrase-file 0
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		printf 'passphrase number %d\n' "$i" >$i
		chmod 600 $i
		python3 - "$PSEC" "$i" <<-'P'
			import subprocess, sys
			p = subprocess.Popen([sys.argv[1], "provision", "ca", "rotate", "--ca", "ca", "--new-passphrase-file", sys.argv[2]],
			                     stdout=subprocess.DEVNULL)
			try:
			    p.wait(int(sys.argv[2]) * 0.01)
			except subprocess.TimeoutExpired:
			    p.kill()
			    p.wait()
		P
		ca rotate --new-passphrase-file $i
		ca crl >crl
		[ "$(ls ca/keys-*/*.key | wc -l)" = 3 ] || { ls -R ca; false; }
	done
}

@test "two stations at once never take one serial twice" {
	made
	ca serial EX2 --count 100 >one & one=$!
	ca serial EX2 --count 100 >two
	wait "$one"
	[ "$(sort one two | uniq | wc -l)" = 200 ]
	[ "$(sort one two | tail -n 1)" = EX2-000200 ]
}

@test "the folder is --ca, else \$PSEC_CA, else ca in the site's folder" {
	export PSEC_CA=$DIR/by-env
	"$PSEC" provision ca init --no-ek-check >said
	[ -e by-env/ca.db ]
	"$PSEC" provision ca list
	unset PSEC_CA
	mkdir site
	"$PSEC" -C site provision ca init --no-ek-check >said
	[ -e site/ca/ca.db ]
}

@test "a policy is signed once a slot" {
	made
	zeros=$(printf '0%.0s' {1..64})
	# PolicyPCR (sha256:7 all zero), then PolicyNV(0x01500021, bit 0 clear): a wrong digest is not signed
	echo '{"psec":"policy","version":1,"slot":0,"pcrs":{"7":"'"$zeros"'"},"digest":"'"$zeros"'"}' >policy.json
	run ca policy policy.json
	[ "$status" = 77 ]
	[[ $output == *digest* ]]
}
