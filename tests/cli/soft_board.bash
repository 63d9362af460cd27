# Boards without a TPM before the CA in the folder ca: `test_ca make` has their keys in files.

# soft_board: once a test, in its setup
soft_board() {
	BOARD=$B/unit/test_ca
	[ -x "$BOARD" ] || skip "test_ca is not built"
}

ca() { "$PSEC" provision ca "$@" --ca ca; }

# asked DIR SERIAL [SITE]: request and challenge, up to the answer
asked() {
	mkdir -p "$1"
	"$BOARD" make "$@"
	ca sign "$1/request.json" --out "$1/challenge.json" 2>>warned
	"$BOARD" answer "$1" "$1/challenge.json" >"$1/answer.json"
}

# certified DIR: the certificate for that answer; leaf and chain into DIR/chain.pem
certified() {
	ca sign "$1/answer.json" --out "$1/certificate.json" 2>>warned
	python3 - "$1" <<-'P'
		import json, sys
		d = json.load(open(sys.argv[1] + "/certificate.json"))
		open(sys.argv[1] + "/chain.pem", "w").write(d["certificate"])
		open(sys.argv[1] + "/root.pem", "w").write("".join(d["trust"]))
	P
}

# ca_sections: how openssl begins a configuration with which others' CAs are made, root and mid
ca_sections() {
	cat <<-C
		[req]
		distinguished_name = dn
		[dn]
		[root]
		basicConstraints = critical,CA:TRUE
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		[mid]
		basicConstraints = critical,CA:TRUE,pathlen:0
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
	C
}
