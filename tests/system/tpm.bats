# TPMs in software as the other tests use them, seen by tpm2-tools.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"
. "$BATS_TEST_DIRNAME/swtpm.bash"

setup() { own_folder; }
teardown() {
	for pid in "$DIR"/*/pid; do
		[ ! -e "$pid" ] || swtpm_stop "${pid%/pid}"
	done
}

ek_of() { TPM2TOOLS_TCTI=$1 tpm2_readpublic -Q -c 0x81010001 -f pem -o "$DIR/ek.pem" && sha256sum <"$DIR/ek.pem"; }

@test "two boards have two endorsement keys, a copy has the same" {
	one=$(swtpm_start "$DIR/one")
	two=$(swtpm_start "$DIR/two")
	[ "$(ek_of "$one")" != "$(ek_of "$two")" ]
	swtpm_stop "$DIR/one"
	swtpm_copy "$DIR/one" "$DIR/copy"
	copy=$(swtpm_start "$DIR/copy")
	one=$(swtpm_start "$DIR/one")
	[ "$(ek_of "$one")" = "$(ek_of "$copy")" ]
}

@test "the EK certificate's chain leads to the root in ek-roots.pem" {
	tcti=$(swtpm_start "$DIR/board")
	TPM2TOOLS_TCTI=$tcti tpm2_nvread -Q 0x01c00002 -o ek.der
	openssl x509 -inform DER -in ek.der -out ek.crt
	openssl verify -x509_strict -CAfile board/ek-roots.pem -untrusted board/issuercert.pem ek.crt
}
