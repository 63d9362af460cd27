#!/usr/bin/env bats
# psec provision on one device, from an empty TPM on; tpm2-tools and openssl are the second opinion.
load provision

setup_file() { provision_file; }
setup() { own_folder; }
teardown() { boards_end; }

@test "from an empty TPM to a whole identity, as tpm2-tools and openssl see it" {
	board b
	site prod
	"$PSEC" provision ca init --ca ca --ek-roots ek-roots.pem >/dev/null
	run "$PSEC" provision --yes --serial EX2-000017
	echo "$output"
	[ "$status" = 0 ]
	whole_identity
	# IDevID and IAK are what TCG's templates say; the one signs anything, the other only what the TPM made
	tpm2_readpublic -c 0x81020000 | grep -A1 attributes | grep -q 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|sign'
	run ! grep -q restricted <(tpm2_readpublic -c 0x81020000 | sed -n '/attributes/,/raw/p')
	tpm2_readpublic -c 0x81020001 | sed -n '/attributes/,/raw/p' | grep -q restricted
	# the counter counts, the bits are bits
	tpm2_nvreadpublic 0x1500020 | grep -q '0x22060014' # counter, authwrite, ownerread, authread, no_da, written
	tpm2_nvreadpublic 0x1500021 | grep -q '0x22060022' # bits, ownerwrite, ownerread, authread, no_da, written
	tpm2_getcap properties-variable >variable
	for auth in ownerAuthSet endorsementAuthSet lockoutAuthSet; do grep -q "$auth: *1" variable; done
	# nothing is left loaded
	[ -z "$(tpm2_getcap handles-transient)$(tpm2_getcap handles-loaded-session)" ]
	# names
	openssl x509 -in state/tpm/ldevid.pem -noout -subject | grep -q 'CN = house.*serialNumber = EX2-000017\|serialNumber = EX2-000017.*CN = house'
	openssl x509 -in state/tpm/idevid.pem -noout -subject -enddate >idevid
	grep -q 'serialNumber = EX2-000017' idevid
	grep -q 9999 idevid
	openssl x509 -in state/tpm/ldevid.pem -noout -purpose | grep -q 'SSL client : Yes'
	# the escrow opens with the recovery key, and what it holds is what the TPM asks for
	openssl cms -decrypt -inform PEM -in state/tpm/escrow.pem -inkey "$BATS_FILE_TMPDIR/recovery.key" -out escrow.json
	[ "$(value escrow.json serial)" = EX2-000017 ]
	tpm2_changeauth -Q -c owner -p "hex:$(value escrow.json owner)" "hex:$(value escrow.json owner)"
	run ! tpm2_changeauth -Q -c owner -p hex:00 hex:11
	# and status agrees
	run "$PSEC" provision status
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"set and escrowed"* ]]
	"$PSEC" audit tail | grep -q provisioned
	# the log is vouched for with the site's key, and the TPM counts it
	run "$PSEC" audit verify --counter "$(counter)"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"signed by 'house'"*"as the TPM counts"* ]]
}

@test "the first site.yaml has the lines for the TPM, to be uncommented" {
	"$PSEC" init --id house --tier prod --yes >/dev/null
	sed -i 's/^# tpm:/tpm:/; s/^#   \(ek_roots\|recovery\)/  \1/' site.yaml
	"$PSEC" site show --json >show.json
	[ "$(value show.json tpm.ek_roots)" = tpm-makers.pem ]
	[ "$(value show.json tpm.recovery)" = recovery.pem ]
}

@test "status and reset need no serial: where nobody says it, that is told" {
	board b
	site lab
	run "$PSEC" provision status
	echo "$output"
	[ "$status" = 1 ]
	[[ "$output" == "board "*"psec provision"* ]]
	"$PSEC" provision status --json >status.json || true
	[ "$(value status.json whole)" = false ]
	run "$PSEC" provision reset --yes
	echo "$output"
	[ "$status" = 0 ]
	# what cannot be judged is not called another board's
	"$PSEC" provision --yes --serial EX2-1 >/dev/null
	rm state/tpm/ek.pem
	mkfifo state/tpm/ek.pem
	[[ "$(status next)" == *"not as psec left it"* ]]
}

@test "the second run finds everything there and changes nothing" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	find state/tpm state/secrets -type f -exec sha256sum {} + | sort >before
	tpm2_nvread 0x1500020 | od -An -tx1 >counter
	run "$PSEC" provision --yes --json
	[ "$status" = 0 ]
	echo "$output" >run.json
	[ "$(value run.json whole)" = true ]
	run ! grep -q '"done_now": true' run.json
	[ "$(grep -c '"done_now": false' run.json)" -ge 11 ]
	find state/tpm state/secrets -type f -exec sha256sum {} + | sort | diff before -
	tpm2_nvread 0x1500020 | od -An -tx1 | diff counter -
	whole_identity
}

@test "without --yes it asks, and where nobody can be asked it changes nothing" {
	board b
	site sim
	run "$PSEC" provision </dev/null
	[ "$status" = 64 ]
	[[ "$output" == *"--yes"* ]]
	[ -z "$(tpm2_getcap handles-persistent | grep 0x8102)" ]
	[ ! -e state/tpm ]
}

@test "an EK that is not believed: lab and prod refuse it by name, sim too when roots are given" {
	board b
	site lab
	cp "$BATS_FILE_TMPDIR/two/ek-roots.pem" ek-roots.pem
	run "$PSEC" provision --yes --serial X1
	[ "$status" = 77 ]
	[[ "$output" == *"endorsement certificate"*"not signed by a given root"*"/ek-roots.pem'"* ]]
	[ -z "$(tpm2_getcap handles-persistent | grep 0x8102)" ]
	sed -i '/ek_roots/d' site.yaml
	run "$PSEC" provision --yes --serial X1
	[ "$status" = 77 ]
	[[ "$output" == *"--ek-roots"* ]]
	run "$PSEC" provision --yes --serial X1 --no-ek-check
	[ "$status" = 64 ]
	run "$PSEC" provision status --serial X1
	[ "$status" = 1 ]
}

@test "roots of --ek-roots are for one call: its end has the line for site.yaml, status asks for it, and is whole with it" {
	board b
	site lab
	sed -i '/ek_roots/d' site.yaml
	run "$PSEC" provision --yes --serial X1 --ek-roots ek-roots.pem
	echo "$output"
	[ "$status" = 0 ]
	line=$(grep -A1 'for this call alone.*site.yaml.*under `tpm:`' <<<"$output" | tail -n 1)
	[ "$line" = "  ek_roots: $(realpath ek-roots.pem)" ]
	run "$PSEC" provision status
	echo "$output"
	[ "$status" = 1 ]
	[[ "$output" == *'next '*'write `ek_roots: FILE` under `tpm:` in site.yaml'* ]]
	echo "$line" >>site.yaml
	"$PSEC" provision status
	# with the line there is nothing to say
	run "$PSEC" provision --yes --ek-roots ek-roots.pem
	[ "$status" = 0 ]
	[[ "$output" != *"this call alone"* ]]
}

@test "the factory moment: no site, the board's own identity alone; the site comes later" {
	board b
	"$PSEC" provision ca init --ca factory --no-ek-check >/dev/null
	cat "$BOARD/ek-roots.pem" "$BOARD/issuercert.pem" >roots.pem
	run "$PSEC" provision --yes --serial F-1 --ca factory --ek-roots roots.pem
	echo "$output"
	[ "$status" = 0 ]
	[ -e state/tpm/idevid.pem ]
	[ ! -e state/tpm/ldevid.pem ]
	run "$PSEC" provision status
	[ "$status" = 1 ]
	[[ "$output" == *'next '*'`psec provision status --ek-roots FILE`'* ]]
	"$PSEC" provision status --ek-roots roots.pem
	site lab
	# the site's CA is another than the factory's: it is not believed before it is said that it is meant
	"$PSEC" provision ca init --ca ca --ek-roots ek-roots.pem >/dev/null
	run "$PSEC" provision --yes
	[ "$status" = 77 ]
	[[ "$output" == *"--trust"* ]]
	run "$PSEC" provision --yes --trust ca/root.pem
	echo "$output"
	[ "$status" = 0 ]
	whole_identity
	[ "$(status serial)" = F-1 ]
}

# ---- by documents -------------------------------------------------------------------------------------------------------------

# The way of two documents there and two back, with a CA in another folder.
by_documents() {
	"$PSEC" provision ca sign --ca elsewhere --out challenge.json state/tpm/request.json
	"$PSEC" provision answer challenge.json --out answer.json
	"$PSEC" provision ca sign --ca elsewhere --out certificate.json answer.json
	"$PSEC" provision install "$@" certificate.json
}

@test "prod without a CA at hand: keys and a request, 75, and each step says the next; the end is whole" {
	board b
	site prod
	"$PSEC" provision ca init --ca elsewhere --ek-roots ek-roots.pem >/dev/null
	run "$PSEC" provision --yes --serial EX2-1
	echo "$output"
	[ "$status" = 75 ]
	[[ "$output" == *"psec provision ca sign request.json"* ]]
	# the same request, as often as it is asked for
	"$PSEC" provision request idevid | cmp - state/tpm/request.json
	[[ "$(status next)" == *"carry "*"/state/tpm/request.json to the CA"*"answer challenge.json"* ]]
	"$PSEC" provision ca challenge --ca elsewhere state/tpm/request.json --out challenge.json
	"$PSEC" provision answer challenge.json --out answer.json
	[[ "$(status next)" == *"carry "*"/state/tpm/answer.json to the CA"*"install certificate.json"* ]]
	# not the one that is wanted, and one of an older request
	mkfifo fifo
	for command in install answer "policy add"; do
		run timeout 20 "$PSEC" provision $command fifo
		[ "$status" = 65 ]
		[[ "$output" == *"'fifo' is a fifo, must be a regular file" ]]
	done
	run "$PSEC" provision install answer.json
	[ "$status" = 65 ]
	[[ "$output" == *"this is the answer, wanted is the certificate" ]]
	[ "$(status pending)" = true ] || { "$PSEC" provision status --serial EX2-1 --json >status.json || true; [ "$(value status.json pending)" = true ]; }
	by_documents
	run "$PSEC" provision --yes
	[ "$status" = 75 ]
	[[ "$output" == *LDevID* ]]
	run "$PSEC" provision answer challenge.json
	[ "$status" = 77 ]
	[[ "$output" == *"another request of this board"*"psec provision request"* ]]
	by_documents
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 75 ]
	[[ "$output" == *"policy make"*"--out signed.json"*"add --authority policy.pem signed.json"* ]]
	# the site's key is there since the second certificate: the log is vouched for
	run "$PSEC" audit verify --counter "$(counter)"
	[[ "$output" == *"signed by 'house' up to entry 2,"*"as the TPM counts"* ]]
	"$PSEC" provision policy make --out policy.json
	run "$PSEC" provision policy add --authority elsewhere/policy.pem policy.json
	[ "$status" = 77 ]
	[[ "$output" == *"not signed"* ]]
	"$PSEC" provision ca policy --ca elsewhere --out signed.json policy.json
	"$PSEC" provision policy add --authority elsewhere/policy.pem signed.json
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 0 ]
	whole_identity
	"$PSEC" provision status
}

@test "a head of the audit log that is missing is made by the next run, one that is there is not made again" {
	board b
	site lab
	"$PSEC" provision --yes --serial EX2-1 >/dev/null
	before=$(counter)
	/usr/bin/python3 -c 'import sqlite3; d = sqlite3.connect("state/psec.db"); d.execute("DELETE FROM audit_head"); d.commit()'
	"$PSEC" provision --yes >/dev/null
	[ "$(counter)" = $((before + 1)) ]
	"$PSEC" audit verify --counter "$(counter)" | grep -q "signed by 'house'"
	"$PSEC" provision --yes >/dev/null
	"$PSEC" provision renew >/dev/null
	[ "$(counter)" = $((before + 1)) ]
}

@test "documents that are not for this board or this request are refused" {
	board b
	site prod
	"$PSEC" provision ca init --ca elsewhere --ek-roots ek-roots.pem >/dev/null
	run "$PSEC" provision --yes --serial EX2-1
	[ "$status" = 75 ]
	"$PSEC" provision ca sign --ca elsewhere --out challenge.json state/tpm/request.json
	# another TPM cannot open it
	mkdir other
	cp -r state other/
	cp site.yaml ek-roots.pem recovery.pem other/
	board b2 two
	run "$PSEC" -C other provision answer challenge.json
	[ "$status" = 77 ]
	[[ "$output" == *"another TPM"* ]]
	board b
	sed 's/"request": "[0-9a-f]*"/"request": "'"$(printf '0%.0s' {1..64})"'"/' challenge.json >wrong.json
	run "$PSEC" provision answer wrong.json
	[ "$status" = 77 ]
	[[ "$output" == *"another request"* ]]
	run "$PSEC" provision install challenge.json
	[ "$status" = 65 ]
	"$PSEC" provision answer challenge.json --out answer.json
	"$PSEC" provision ca sign --ca elsewhere --out certificate.json answer.json
	"$PSEC" provision install certificate.json
	"$PSEC" provision install certificate.json # again: it is there
	run "$PSEC" provision install challenge.json
	[ "$status" = 77 ] || [ "$status" = 65 ]
}

# ---- certificates that must not be installed: each refused by name ---------------------------------------------------------------

# own_ca: a CA that openssl is, and its leaf signer: leaf NAME START END SUBJECT [KEY]
own_ca() {
	mkdir -p own/certs
	: >own/index
	echo 1000 >own/serial
	echo 01 >own/crlnumber
	openssl ecparam -name prime256v1 -genkey -noout -out own/ca.key
	cat >own/conf <<-C
		[ca]
		default_ca = here
		[here]
		new_certs_dir = own/certs
		database = own/index
		serial = own/serial
		crlnumber = own/crlnumber
		default_md = sha256
		default_crl_days = 30
		policy = any
		unique_subject = no
		x509_extensions = leaf
		[any]
		commonName = supplied
		serialNumber = optional
		[leaf]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = clientAuth
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		[root]
		basicConstraints = critical,CA:TRUE
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		[req]
		distinguished_name = dn
		[dn]
	C
	openssl req -x509 -new -key own/ca.key -subj /CN=own -days 3650 -config own/conf -extensions root -out own/root.pem
}
leaf() {
	openssl ca -batch -notext -config own/conf -keyfile own/ca.key -cert own/root.pem -startdate "$2" -enddate "$3" \
		-subj "$4" -in "${5:-csr.pem}" -out "$1" 2>own/log || { cat own/log; return 1; }
}

@test "expired, not yet valid, revoked, another name, another board, another key, another CA: refused by name, and the old stays" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	serial=$(status serial)
	own_ca
	cp state/tpm/ldevid.pem old.pem
	"$PSEC" provision request ldevid --out request.json
	value request.json key.csr >csr.pem
	good="/CN=house/serialNumber=$serial"
	refused() {
		run "$PSEC" provision install --trust "${trust:-own/root.pem}" "$1"
		echo "$output"
		[ "$status" = 77 ] && [[ "$output" == *"$2"* ]] && cmp state/tpm/ldevid.pem old.pem && [ -e state/tpm/request.json ]
	}
	leaf expired.pem 20200101000000Z 20210101000000Z "$good"
	refused expired.pem "has expired"
	leaf early.pem 20500101000000Z 20510101000000Z "$good"
	refused early.pem "is not valid before"
	leaf name.pem 20200101000000Z 20510101000000Z "/CN=other/serialNumber=$serial"
	refused name.pem "it is for 'other', not for 'house'"
	leaf serial.pem 20200101000000Z 20510101000000Z /CN=house/serialNumber=other
	refused serial.pem "it is for board 'other'"
	openssl req -new -newkey rsa:2048 -nodes -keyout stranger.key -subj "$good" -out stranger.csr 2>/dev/null
	leaf key.pem 20200101000000Z 20510101000000Z "$good" stranger.csr
	refused key.pem "another key"
	leaf good.pem 20200101000000Z 20510101000000Z "$good"
	run "$PSEC" provision install good.pem
	[ "$status" = 77 ]
	[[ "$output" == *"not signed by a given root"*"--trust"* ]]
	openssl ca -config own/conf -keyfile own/ca.key -cert own/root.pem -revoke good.pem 2>/dev/null
	openssl ca -config own/conf -keyfile own/ca.key -cert own/root.pem -gencrl -out own/crl.pem 2>/dev/null
	cat own/root.pem own/crl.pem >own/both.pem
	trust=own/both.pem refused good.pem "was revoked"
	# and one of which nothing is wrong
	leaf better.pem 20200101000000Z 20510101000000Z "$good"
	"$PSEC" provision install --trust own/both.pem better.pem
	run ! cmp state/tpm/ldevid.pem old.pem
	whole_identity
}

# ---- renewing, replacing, removing -----------------------------------------------------------------------------------------------

@test "renew: not before two thirds of the life, by force at once; key and certificate always fit" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	cp state/tpm/ldevid.pem first.pem
	cp state/tpm/ldevid.key first.key
	run "$PSEC" provision renew
	[ "$status" = 0 ]
	[[ "$output" == *"not due"* ]]
	cmp state/tpm/ldevid.pem first.pem
	"$PSEC" provision renew --force
	run ! cmp state/tpm/ldevid.pem first.pem
	run ! cmp state/tpm/ldevid.key first.key
	whole_identity
	"$PSEC" audit tail --csv | grep -q '"renewed"'
	"$PSEC" provision status
}

@test "where psecd has run as a service the database is another user's: root records there, and signs as root" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	chmod 755 "$DIR" "$BATS_TEST_TMPDIR"
	chown nobody:nogroup state/psec.db*
	chgrp nogroup state
	chmod 1770 state
	"$PSEC" provision renew --force
	[ "$(stat -c %U state/psec.db)" = nobody ]
	[ "$(stat -c %U state/tpm/ldevid.pem)" = root ]
	"$PSEC" audit verify | grep -q "signed by 'house' up to entry 4,"
}

@test "another TPM in the same place is refused; replace revokes the old LDevID, hands the audit log over, and goes on" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	old=$(status serial)
	number=$(status ldevid.number)
	swtpm_stop "$BOARD"
	board new two
	cat "$BOARD/ek-roots.pem" "$BOARD/issuercert.pem" >>ek-roots.pem
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"another TPM than before (that was board '$old')"*"psec provision replace --old $old"* ]]
	[ -z "$(tpm2_getcap handles-persistent | grep 0x8102)" ]
	run "$PSEC" provision status
	[ "$status" = 1 ]
	[[ "$output" == *"replace --old"* ]]
	cp ek-roots.pem ca/ek-roots.pem
	run "$PSEC" provision replace --old "$old" --yes
	echo "$output"
	[ "$status" = 0 ]
	whole_identity
	"$PSEC" provision ca list | grep "$number" | grep -q revoked
	"$PSEC" audit tail --csv | grep -q '"hand-over","house"'
	"$PSEC" audit tail --csv | grep hand-over | grep -q signature
	[ -d "state/tpm.$old" ]
	run "$PSEC" audit verify
	[ "$status" = 0 ]
	[[ "$output" == *"whether the CA signed the 1 hand-over to another board was not judged: --authority names its policy.pem"* ]]
	run "$PSEC" audit verify --authority ca/policy.pem --counter "$(counter)"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *"1 hand-over to another board, signed by the CA"* ]]
	"$PSEC" audit verify --authority ca/policy.pem --json >verdict.json
	grep -q '"authority_checked": true' verdict.json
	grep -q '"hand_overs": 1\b' verdict.json
	# another CA's key is not believed, beside it the right one is; the export tells the same elsewhere
	openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out other.pem 2>/dev/null
	"$PSEC" audit export --out house.audit
	for file in "" "--file house.audit"; do
		run "$PSEC" audit verify $file --authority other.pem
		[ "$status" = 1 ]
		[[ "$output" == "entry "*": entry "*" is not to be trusted: the hand-over of site 'house' to board "*"another CA signed it"* ]]
		"$PSEC" audit verify $file --authority <(cat other.pem ca/policy.pem)
	done
	run "$PSEC" audit verify --authority ca/root.pem
	[ "$status" = 65 ]
	[[ "$output" == *"'ca/root.pem': there is no public key in PEM; a CA's is its policy.pem" ]]
	# again: nothing more happens, and the statement is in the log once
	"$PSEC" provision replace --old "$old" --yes >/dev/null
	[ "$("$PSEC" audit tail --csv | grep -c '"hand-over"')" = 1 ]
}

@test "a board is replaced where the CA is elsewhere: its statement is checked, and only for this site and these boards" {
	board b
	site prod
	"$PSEC" provision ca init --ca elsewhere --ek-roots ek-roots.pem >/dev/null
	"$PSEC" provision --yes --serial OLD-1 --ca elsewhere >/dev/null
	swtpm_stop "$BOARD"
	board new two
	cat "$BOARD/ek-roots.pem" "$BOARD/issuercert.pem" >>ek-roots.pem
	cp ek-roots.pem elsewhere/ek-roots.pem
	replace() { run "$PSEC" provision replace --old OLD-1 --serial NEW-1 --yes "$@"; echo "$output"; }
	replace
	[ "$status" = 75 ]
	by_documents --trust elsewhere/root.pem
	# without the hand-over the site's key would sign a log of another board: what goes on is said, and nothing else does
	run "$PSEC" provision --yes --serial NEW-1
	[ "$status" = 77 ]
	[[ "$output" == *"from board 'OLD-1'"*"psec provision replace --old OLD-1 --serial NEW-1\` goes on" ]]
	run "$PSEC" provision request ldevid
	[ "$status" = 77 ]
	[[ $(status next) == *"psec provision replace --old OLD-1 --serial NEW-1\` goes on" ]]
	replace
	[ "$status" = 75 ]
	[[ "$output" == *"psec provision ca replace --old OLD-1 --new NEW-1"* ]]
	"$PSEC" provision ca replace --ca elsewhere --old OLD-1 --new NEW-1 --out handover.json house
	sed 's/NEW-1/NEW-2/' handover.json >wrong.json
	replace --hand-over wrong.json
	[ "$status" = 77 ]
	sed 's/"at":"20../"at":"2000/' handover.json >forged.json
	replace --hand-over forged.json
	[ "$status" = 77 ]
	[[ "$output" == *"was changed, or another CA signed it; believed is the CA of '"*"/state/tpm.OLD-1/storage.json', another one's policy.pem by --authority FILE"* ]]
	# whose word it must be is the old board's to say; without that it is asked for, and nothing is taken unchecked
	mv state/tpm.OLD-1/storage.json kept.json
	for file in handover.json forged.json; do
		replace --hand-over $file
		[ "$status" = 77 ]
		[[ "$output" == *"cannot be checked: '"*"/state/tpm.OLD-1/storage.json'"*" is missing"*"--authority policy.pem" ]]
	done
	replace --hand-over forged.json --authority elsewhere/policy.pem
	[ "$status" = 77 ]
	[[ "$output" == *"was changed, or another CA signed it" ]]
	openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out other.pem 2>/dev/null
	replace --hand-over handover.json --authority other.pem
	[ "$status" = 77 ]
	replace --authority other.pem
	[ "$status" = 64 ]
	run ! grep -q hand-over <("$PSEC" audit tail --csv)
	replace --hand-over handover.json --authority elsewhere/policy.pem
	[ "$status" = 75 ]
	rm state/tpm/handover.json
	# or it is the one that the new board was given with its storage key
	"$PSEC" provision policy make --out policy.json
	"$PSEC" provision ca policy --ca elsewhere --out signed.json policy.json
	run "$PSEC" provision policy add --authority elsewhere/root.pem signed.json
	[ "$status" = 65 ]
	[[ "$output" == *"the authority: there is no public key in PEM; a CA's is its policy.pem" ]]
	cat other.pem elsewhere/policy.pem >both.pem
	run "$PSEC" provision policy add --authority both.pem signed.json
	[ "$status" = 65 ]
	[[ "$output" == *"there are 2 public keys, must be one"* ]]
	"$PSEC" provision policy add --authority elsewhere/policy.pem signed.json
	"$PSEC" provision policy add --authority both.pem signed.json
	run "$PSEC" provision policy add --authority other.pem signed.json
	[ "$status" = 77 ]
	replace --hand-over forged.json
	[ "$status" = 77 ]
	[[ "$output" == *"believed is the CA of '"*"/state/tpm/storage.json'"* ]]
	replace --hand-over handover.json
	[ "$status" = 75 ]
	rm state/tpm/handover.json
	mv kept.json state/tpm.OLD-1/storage.json
	replace --hand-over handover.json
	[ "$status" = 75 ]
	[[ "$output" == *LDevID* ]]
	# nor do the roots that status lacks hide whose turn it is
	sed -i.bak '/ek_roots:/d' site.yaml
	[[ $(status next) == *"carry "* ]]
	mv site.yaml.bak site.yaml
	[[ $(status next) == *"carry $PWD/state/tpm/request.json to the CA"* ]]
	by_documents
	"$PSEC" provision --yes >/dev/null
	"$PSEC" audit tail --csv | grep -q '"hand-over","house"'
	"$PSEC" audit verify --authority elsewhere/policy.pem | grep -q 'another board, signed by the CA'
	"$PSEC" provision ca list --ca elsewhere OLD-1 | grep ldevid | grep -q revoked
	openssl verify -x509_strict -CAfile state/tpm/trust.pem -untrusted state/tpm/ldevid.pem state/tpm/ldevid.pem
}

@test "a TPM that was cleared is told as that; reset and a new run begin anew" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	openssl cms -decrypt -inform PEM -in state/tpm/escrow.pem -inkey "$BATS_FILE_TMPDIR/recovery.key" -out escrow.json
	tpm2_clear -c l "hex:$(value escrow.json lockout)"
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"the TPM was cleared"*"psec provision reset"* ]]
	run "$PSEC" provision status
	[ "$status" = 1 ]
	[[ "$output" == *"cleared"* ]]
	"$PSEC" provision reset --yes
	"$PSEC" provision --yes >/dev/null
	whole_identity
}

@test "reset on the wrong machine, or beside another's index, removes nothing" {
	board a
	site sim
	sed -i /ek_roots/d site.yaml
	"$PSEC" provision --yes >/dev/null
	tpm2_getcap handles-persistent >before
	find state/tpm state/secrets -type f -exec sha256sum {} + | sort >files
	board b two
	mv state mine
	rm -r ca
	"$PSEC" provision --yes >/dev/null
	tpm2_getcap handles-persistent >other
	mv state others
	mv mine state
	run "$PSEC" provision reset --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"another TPM"*"replace --old"* ]]
	tpm2_getcap handles-persistent | cmp - other
	find state/tpm state/secrets -type f -exec sha256sum {} + | sort | cmp - files
	# an index that is another's: before the first key goes
	board c
	rm -rf state
	sed -i /recovery/d site.yaml
	rm -rf ca
	"$PSEC" provision --yes >/dev/null
	tpm2_nvundefine -Q -C o 0x1500021
	tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500021
	run "$PSEC" provision reset --yes
	echo "$output"
	[ "$status" = 77 ]
	tpm2_getcap handles-persistent | cmp - before
}

@test "status with another's NV index or key in a place of psec tells that beside all the rest, and ends with 1" {
	board b
	site sim
	sed -i /recovery/d site.yaml
	"$PSEC" provision --yes >/dev/null
	tpm2_nvundefine -Q -C o 0x1500021
	tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500021
	run "$PSEC" provision status
	echo "$output"
	[ "$status" = 1 ]
	[[ "$output" == *"ldevid          valid, "*"audit counter   "[0-9]*"revoked slots   the NV index 0x1500021 is another's"*"tpm2_nvundefine 0x1500021"*"next            a place of psec"* ]]
	[ "$(status idevid.valid)" = true ]
	[ "$(status revoked_slots)" = null ]
	[[ "$(status foreign.revoked_slots)" == *"0x1500021 is another's"* ]]
	[ "$(status foreign.counter)" = null ]
	tpm2_nvundefine -Q -C o 0x1500020
	tpm2_nvdefine -Q -C o -s 16 -a 'ownerread|ownerwrite|authread|authwrite' 0x1500020
	tpm2_evictcontrol -Q -C o -c 0x81020001
	tpm2_createprimary -Q -C o -c other.ctx
	tpm2_evictcontrol -Q -C o -c other.ctx 0x81020001
	tpm2_flushcontext -t
	run "$PSEC" provision status
	echo "$output"
	[ "$status" = 1 ]
	[[ "$output" == *"idevid          valid"*"iak             not valid: its key is not in this TPM"*"keys            the place of the IAK, 0x81020001"*"audit counter   the NV index 0x1500020 is another's"* ]]
}

@test "reset removes what psec made and nothing else, and asks for the name" {
	board b
	site sim
	tpm2_getcap handles-persistent >before
	tpm2_createprimary -Q -C o -c other.ctx
	tpm2_evictcontrol -Q -C o -c other.ctx 0x81000099
	tpm2_flushcontext -t
	"$PSEC" provision --yes >/dev/null
	run "$PSEC" provision reset </dev/null
	[ "$status" = 64 ]
	whole_identity
	"$PSEC" provision reset --yes
	tpm2_getcap handles-persistent | grep -v 0x81000099 | diff before -
	tpm2_getcap handles-persistent | grep -q 0x81000099
	run ! grep -qi 0x150002 <(tpm2_getcap handles-nv-index)
	tpm2_getcap properties-variable >variable
	for auth in ownerAuthSet endorsementAuthSet lockoutAuthSet; do grep -q "$auth: *0" variable; done
	[ -z "$(find state/tpm -type f)" ]
	[ ! -e state/secrets ]
	run "$PSEC" provision reset --yes
	[[ "$output" == *"nothing of psec"* ]]
	"$PSEC" provision --yes >/dev/null
	whole_identity
}

@test "another recovery certificate in site.yaml gets the escrow, and the audit log says so" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	fingerprint() { openssl x509 -in "$1" -noout -fingerprint -sha256 | tr -d : | sed 's/.*=//' | tr A-F a-f; }
	"$PSEC" audit tail --csv | grep '"escrowed","house"' | grep -q "$(fingerprint recovery.pem)"
	# one that is named no more unsets nothing, and nothing else is said
	sed -i.bak "/^  recovery:/d" site.yaml
	run "$PSEC" provision --yes
	[ "$status" = 0 ]
	[[ "$output" == *"there  authorisations"* ]]
	[[ "$output" != *"are not set"* ]]
	mv site.yaml.bak site.yaml
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out recovery.pem -days 30 -subj /CN=other 2>/dev/null
	"$PSEC" provision --yes >/dev/null
	"$PSEC" audit tail --csv | grep '"escrowed","house"' | grep -q "$(fingerprint recovery.pem)"
	"$PSEC" provision --yes >/dev/null
	[ "$("$PSEC" audit tail --csv | grep -c '"escrowed"')" = 2 ]
	openssl cms -decrypt -inform PEM -in state/tpm/escrow.pem -inkey other.key -out escrow.json
	tpm2_changeauth -Q -c owner -p "hex:$(value escrow.json owner)" "hex:$(value escrow.json owner)"
	"$PSEC" audit verify
}

@test "the TPM refuses an authority that was put into storage.json, with a policy that it signed" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	"$PSEC" provision ca init --ca other --no-ek-check >/dev/null
	/usr/bin/python3 - <<-'P'
	import json
	storage = json.load(open("state/tpm/storage.json"))
	storage["authority"] = open("other/policy.pem").read()
	json.dump(storage, open("state/tpm/storage.json", "w"))
	policy = json.load(open("state/tpm/policies/0.json"))
	del policy["signature"]
	json.dump(policy, open("unsigned.json", "w"))
	P
	"$PSEC" provision ca policy --ca other --out state/tpm/policies/0.json unsigned.json
	run "$PSEC" provision storage-key --fd 3 3>key
	[ "$status" = 77 ]
	[[ "$output" == *"the TPM does not find its policy fulfilled"* ]]
	[ ! -s key ]
}

@test "state/secrets lost: the authorisations come back out of the escrow" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	openssl cms -decrypt -inform PEM -in state/tpm/escrow.pem -inkey "$BATS_FILE_TMPDIR/recovery.key" -out escrow.json
	chmod 600 escrow.json
	rm state/secrets
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"another program has set"*"--auths FILE"* ]]
	# the whole folder lost: no word of a storage key that this command would make
	mv state lost
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"a state folder that is not here"*"--auths FILE"* && "$output" != *"storage key"* ]]
	rm -rf state
	mv lost state
	chmod 644 escrow.json
	run "$PSEC" provision --yes --auths escrow.json
	[ "$status" = 77 ]
	[[ "$output" == *"chmod 600"* ]]
	chmod 600 escrow.json
	"$PSEC" provision --yes --auths escrow.json
	whole_identity
	"$PSEC" provision status
	"$PSEC" provision --yes >/dev/null
}

# ---- a TPM that is not well ------------------------------------------------------------------------------------------------------

@test "in lock-out nothing is tried, and it says when that ends" {
	board b
	site sim
	tpm2_dictionarylockout -s -n 1 -t 600 -l 600
	tpm2_createprimary -Q -C o -c p.ctx
	tpm2_create -Q -C p.ctx -p right -u k.pub -r k.priv -i- <<<secret
	tpm2_flushcontext -t
	tpm2_load -Q -C p.ctx -u k.pub -r k.priv -c k.ctx
	run ! tpm2_unseal -Q -c k.ctx -p wrong
	tpm2_flushcontext -t
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 75 ]
	[[ "$output" == *"lock-out"*"nothing was tried"*" s it can be used again"* ]]
	[ -z "$(tpm2_getcap handles-persistent | grep 0x8102)" ]
	run "$PSEC" provision status
	[ "$status" = 1 ]
	[[ "$output" == *"in lock-out"* ]]
	tpm2_dictionarylockout -c
	"$PSEC" provision --yes >/dev/null
	whole_identity
}

@test "the first Ctrl-C ends the wait for a TPM that hangs, and the same again goes on" {
	board b
	site sim
	kill -STOP "$(cat "$BOARD/pid")"
	run timeout --preserve-status -s INT 0.5 "$PSEC" provision --yes
	kill -CONT "$(cat "$BOARD/pid")"
	echo "$output"
	[ "$status" = 130 ]
	[[ "$output" == *"interrupted"* ]]
	"$PSEC" provision --yes >/dev/null
	whole_identity
}

@test "full of someone else's keys: told before anything is made" {
	board b
	site sim
	tpm2_createprimary -Q -C o -c other.ctx
	n=$((0x81000100))
	tpm2_flushcontext -t
	while tpm2_evictcontrol -Q -C o -c other.ctx "$(printf 0x%x $n)" 2>/dev/null; do
		tpm2_flushcontext -t
		n=$((n + 1))
	done
	tpm2_flushcontext -t
	[ $n -gt $((0x81000110)) ]
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"tpm2_getcap handles-persistent"* ]]
	[ -z "$(tpm2_getcap handles-persistent | grep 0x8102)" ]
}

@test "authorisations that another program has set: refused, nothing tried" {
	board b
	site sim
	tpm2_changeauth -Q -c owner other
	run "$PSEC" provision --yes
	echo "$output"
	[ "$status" = 77 ]
	[[ "$output" == *"asks for authorisations"* ]]
	tpm2_changeauth -Q -c owner -p other
	tpm2_changeauth -Q -c lockout other
	run "$PSEC" provision --yes
	[ "$status" = 77 ]
	tpm2_changeauth -Q -c lockout -p other # not shut by a wrong try
	"$PSEC" provision --yes >/dev/null
}

# ---- the storage key -------------------------------------------------------------------------------------------------------------

key() { "$PSEC" provision storage-key --fd 1 | sha256sum; }

@test "after an authorised update the storage key opens by a new policy; unsigned fails; the old one ends by its revocation" {
	board b
	site sim 'pcrs: [7, 16]'
	"$PSEC" provision --yes >/dev/null
	key >before
	# the update: expected values are told before it happens
	hash=$(echo update | sha256sum | cut -c1-64)
	expected=$(/usr/bin/python3 -c 'import hashlib, sys; print(hashlib.sha256(bytes(32) + bytes.fromhex(sys.argv[1])).hexdigest())' "$hash")
	"$PSEC" provision policy make --expect "16=$expected" --out new.json
	run "$PSEC" provision policy add new.json
	[ "$status" = 77 ]
	[[ "$output" == *"not signed"* ]]
	sed 's/"digest"/"signature": "MEQCIAAA", "digest"/' new.json >forged.json
	run "$PSEC" provision policy add forged.json
	[ "$status" != 0 ]
	"$PSEC" provision ca policy --out signed.json new.json
	run "$PSEC" provision policy add signed.json
	[[ "$output" == *"not those of it now"* ]]
	key | diff before -
	tpm2_pcrextend "16:sha256=$hash"
	key | diff before -
	run "$PSEC" provision policy revoke 1
	[ "$status" = 77 ] # nothing else would open it
	run "$PSEC" provision policy revoke 9 # a slip of the hand would stay for good
	[ "$status" = 77 ]
	[[ "$output" == *"no policy of slot 9 here"* ]]
	"$PSEC" provision policy revoke 9 --force
	"$PSEC" provision policy revoke 0
	[ "$(status revoked_slots)" = $((1 << 9 | 1)) ]
	"$PSEC" provision policy list --json >list.json
	[ "$(value list.json 0.state)" = revoked ]
	[ "$(value list.json 1.state)" = opens ]
	# back to the old measurements: its policy is signed and fits, and is revoked
	tpm2_pcrreset 16
	run "$PSEC" provision storage-key --fd 3 3>key
	[ "$status" = 77 ]
	[ ! -s key ]
	run "$PSEC" provision status
	[ "$status" = 1 ]
	[[ "$output" == *"does not open"* ]]
	[[ "$output" == *"set; escrowed or not is known when the storage key opens"* ]]
	run "$PSEC" provision policy add <("$PSEC" provision ca policy <("$PSEC" provision policy make --slot 0 2>/dev/null) 2>/dev/null)
	[ "$status" != 0 ]
}

@test "the storage key goes to a descriptor, not to a terminal and not into a file by accident" {
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	[ "$("$PSEC" provision storage-key --fd 1 | wc -c)" = 32 ]
	# what lies on the partition that it opens is not needed for it
	rm recovery.pem ek-roots.pem
	"$PSEC" provision storage-key --fd 1 | cat >one
	"$PSEC" provision storage-key --fd 3 3>two
	cmp one two
	run bash -c "'$PSEC' provision storage-key --fd 1 >three"
	[ "$status" = 77 ]
	[ ! -s three ]
	run script -qec "'$PSEC' provision storage-key --fd 1" /dev/null
	[[ "$output" == *"is a terminal"* ]]
	run "$PSEC" provision storage-key --fd 9
	[ "$status" = 64 ]
	# where only that folder is, before the state partition is open
	cp -r state/tpm early
	mv state away
	"$PSEC" provision storage-key --from early --fd 3 3>four
	cmp one four
	cryptsetup --version
	truncate -s 32M partition
	"$PSEC" provision storage-key --from early --fd 1 |
		cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - partition
	"$PSEC" provision storage-key --from early --fd 1 | cryptsetup open --test-passphrase --type luks --key-file - partition
	run ! cryptsetup open --test-passphrase --type luks --key-file <(head -c 32 /dev/zero) partition
}

# ---- a clock that is not set -----------------------------------------------------------------------------------------------------

at_1970() {
	/usr/bin/python3 -c 'import struct, sys, time; open("step", "wb").write(struct.pack("q", 86400 - int(time.time())))'
	CLOCK_STEP=$DIR/step LD_PRELOAD=$B/fault/clock_step.so "$@"
}

@test "at 1970 what is installed stays in use and its dates are not checked; nothing that ends is installed" {
	[ -z "${PSEC_SAN:-}" ] || skip "a preload before the sanitizer's"
	board b
	site sim
	"$PSEC" provision --yes >/dev/null
	at_1970 "$PSEC" provision status --json >status.json || true
	[ "$(value status.json ldevid.valid)" = true ]
	[ "$(value status.json ldevid.time_checked)" = false ]
	[ "$(value status.json whole)" = false ]
	[[ "$(value status.json next)" == "set the clock"* ]]
	at_1970 "$PSEC" provision --yes >/dev/null
	own_ca
	serial=$(status serial)
	"$PSEC" provision request ldevid --out request.json
	value request.json key.csr >csr.pem
	leaf good.pem 20200101000000Z 20510101000000Z "/CN=house/serialNumber=$serial"
	run at_1970 "$PSEC" provision install --trust own/root.pem good.pem
	echo "$output"
	[ "$status" = 75 ]
	[[ "$output" == *"clock of this board is not set"* ]]
	"$PSEC" provision install --trust own/root.pem good.pem
	"$PSEC" provision status
}

# ---- secrets ---------------------------------------------------------------------------------------------------------------------

@test "no secret in what others can read: files, arguments, output; no core file" {
	board b
	site sim
	ulimit -c unlimited
	"$PSEC" provision --yes >out 2>&1
	openssl cms -decrypt -inform PEM -in state/tpm/escrow.pem -inkey "$BATS_FILE_TMPDIR/recovery.key" -out /dev/stdout >escrow.json
	"$PSEC" provision storage-key --fd 1 | od -An -v -tx1 | tr -d ' \n' >key.hex
	for secret in "$(value escrow.json owner)" "$(value escrow.json endorsement)" "$(value escrow.json lockout)" "$(cat key.hex)"; do
		[ ${#secret} = 64 ]
		/usr/bin/python3 - "$secret" <<-'P'
		import os, sys
		raw, text = bytes.fromhex(sys.argv[1]), sys.argv[1].encode()
		for folder, _, names in os.walk("."):
		    for n in names:
		        p = os.path.join(folder, n)
		        if n in ("escrow.json", "key.hex") or not os.path.isfile(p) or "/b/" in p + "/": continue
		        data = open(p, "rb").read()
		        if raw in data or text in data: sys.exit(f"a secret stands in {p}")
		P
	done
	[ -z "$(find . -name 'core*')" ]
}
