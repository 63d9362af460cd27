#!/usr/bin/env bats
# step-ca behind the door of psec's CA, as the manual sets it up: a board's request, challenge, answer and certificate go
# as files, tpm2-tools and openssl look at what comes of them.
load provision
load tls

STEP=$TOP/build/step

setup_file() { [ ! -x "$STEP/step-ca" ] || provision_file; }
setup() {
	[ -x "$STEP/step-ca" ] || skip "no build/step/step-ca: run make deps-step"
	own_folder
	step_ca
}
teardown() {
	[ -z "${STEP_CA:-}" ] || kill "$STEP_CA" 2>/dev/null || true
	boards_end
}

# step_ca: as the manual says, in the folder theirs, on a port of its own
step_ca() {
	local port
	export PATH=$STEP:$PATH
	port=$(free_port)
	program_of_the_manual psec-provision-ca.1 'With *step-ca*' | sed "s|/srv/step|$DIR/theirs|g; s|:9443|:$port|" >set-up
	program_of_the_manual psec-provision-ca.1 'With *step-ca*' 2 | sed "1a PATH=$STEP:\$PATH
		s|/srv/step|$DIR/theirs|g" >signer
	chmod 755 signer
	sh -e set-up >step.log 2>&1 </dev/null || { cat step.log; return 1; }
	step-ca --password-file theirs/pw theirs/config/ca.json >step-ca.log 2>&1 </dev/null 3>&- &
	STEP_CA=$!
	wait_until 10 grep -q 'Serving HTTPS' step-ca.log || { cat step-ca.log; return 1; }
}

# asked PROFILE: that request, and its answer
asked() {
	"$PSEC" provision request "$1" --out request.json
	"$PSEC" provision ca sign --ca elsewhere --out challenge.json request.json
	"$PSEC" provision answer challenge.json --out answer.json
}
granted() {
	"$PSEC" provision ca sign --ca elsewhere --out certificate.json answer.json 2>>step.log || { cat step.log; return 1; }
	"$PSEC" provision install certificate.json
}

# prod: a board on a TPM whose maker is believed, a site, and the CA in another folder; up to the request for the IDevID
prod() {
	board b
	site prod
	"$PSEC" provision ca init --ca elsewhere --ek-roots ek-roots.pem --signer "$DIR/signer" --chain theirs/chain.pem
	run "$PSEC" provision --yes --serial EX2-1
	[ "$status" = 75 ]
}

# chain_fits NAME: that certificate of the board is step-ca's
chain_fits() {
	openssl verify -x509_strict -CAfile theirs/certs/root_ca.crt -untrusted "state/tpm/$1.pem" "state/tpm/$1.pem" || return 1
	openssl x509 -in "state/tpm/$1.pem" -noout -issuer | grep -q 'CN = Their Intermediate CA'
}

@test "step-ca gives a board both certificates, by documents; tpm2-tools and openssl say that chains and keys fit" {
	prod
	asked idevid
	granted
	chain_fits idevid
	key_of_handle 0x81020000 | cmp - <(openssl x509 -in state/tpm/idevid.pem -noout -pubkey)
	openssl x509 -in state/tpm/idevid.pem -noout -subject -enddate >idevid
	grep -q 'CN = EX2-1.*serialNumber = EX2-1\|serialNumber = EX2-1.*CN = EX2-1' idevid
	grep -q 'Dec 31 23:59:59 9999' idevid
	asked ldevid
	granted
	chain_fits ldevid
	openssl verify -purpose sslclient -CAfile theirs/certs/root_ca.crt -untrusted state/tpm/ldevid.pem state/tpm/ldevid.pem
	ldevid_signs state/tpm
	openssl x509 -in state/tpm/ldevid.pem -noout -subject | grep -q 'CN = house.*serialNumber = EX2-1\|serialNumber = EX2-1.*CN = house'
	openssl x509 -in state/tpm/ldevid.pem -noout -checkend $((364 * 86400))
	run openssl x509 -in state/tpm/ldevid.pem -noout -checkend $((366 * 86400))
	[ "$status" = 1 ]
	# the registry has what step-ca gave
	"$PSEC" provision ca list --ca elsewhere --json >list.json
	number=$(openssl x509 -in state/tpm/ldevid.pem -noout -serial | sed 's/serial=0*//' | tr A-F a-f)
	grep -qi "\"0*$number\"" list.json
	# the same answer again asks nobody: step-ca is gone, and it comes all the same
	kill "$STEP_CA"
	wait "$STEP_CA" || true
	"$PSEC" provision ca sign --ca elsewhere answer.json | cmp - certificate.json
	# and what must be asked of it is refused by name, with nothing registered
	run "$PSEC" provision renew --force --ca elsewhere
	echo "$output"
	[ "$status" = 77 ]
	[[ $output == *"signer"*"did not sign"* ]]
}

# other CSR CN: what step-ca makes of it, first for psec's CA and then for the board
other() {
	cp signer good
	sed "s|^cat >.*|cat >/dev/null; cp '$DIR/$1' \"\$t/csr\"|" good >signer
	run "$PSEC" provision ca sign --ca elsewhere answer.json
	echo "$output"
	[ "$status" = 77 ] || return 1
	[[ $output == *"$2"* ]] || return 1
	"$PSEC" provision ca list --ca elsewhere --json | cmp - listed || return 1
	./signer --profile ldevid --not-before "$(stamp now)" --not-after "$(stamp '+300 days')" </dev/null >other.pem 2>>step.log
	cp good signer
	run "$PSEC" provision install other.pem
	echo "$output"
	[ "$status" = 77 ] || return 1
	[[ $output == *"$3"* ]] || return 1
	[ ! -e state/tpm/ldevid.pem ]
}
stamp() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

@test "what step-ca gave for another key or another name is refused, at the CA's door and by the board" {
	prod
	asked idevid
	granted
	asked ldevid
	"$PSEC" provision ca list --ca elsewhere --json >listed
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout stranger.key -subj /CN=house/serialNumber=EX2-1 \
		-out key.csr 2>>openssl.log
	other key.csr 'certified another key' 'another key'
	# the right key, and what its TPM signs for who asks it without psec
	export TPM2OPENSSL_TCTI=$PSEC_TCTI
	for name in /CN=other/serialNumber=EX2-1 /CN=house/serialNumber=EX2-9; do
		openssl req -provider tpm2 -provider default -new -key state/tpm/ldevid.next.key -subj "$name" \
			-out name.csr
		case $name in
		*other*) other name.csr 'gave the names' "it is for 'other', not for 'house'" ;;
		*) other name.csr 'gave the names' "it is for board 'EX2-9'" ;;
		esac
	done
	# of all that, nothing stays: the right one is taken
	granted
	chain_fits ldevid
}
