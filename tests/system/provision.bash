# Boards on simulated TPMs, a site each, and what tpm2-tools and openssl see of them.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"
. "$BATS_TEST_DIRNAME/../system/swtpm.bash"

# Two TPMs that were never started, and the recovery key: made once a file of tests.
provision_file() {
	swtpm_make "$BATS_FILE_TMPDIR/one"
	swtpm_make "$BATS_FILE_TMPDIR/two"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$BATS_FILE_TMPDIR/recovery.key" -out "$BATS_FILE_TMPDIR/recovery.pem" \
		-days 3650 -subj /CN=recovery 2>/dev/null
}

# board NAME [one|two]: its TPM runs, and psec and tpm2-tools speak to it.
board() {
	[ -d "$DIR/$1" ] || swtpm_copy "$BATS_FILE_TMPDIR/${2:-one}" "$DIR/$1"
	BOARD=$DIR/$1
	PSEC_TCTI=swtpm:path=$BOARD/s
	[ -e "$BOARD/pid" ] || PSEC_TCTI=$(swtpm_start "$BOARD")
	export PSEC_TCTI TPM2TOOLS_TCTI=$PSEC_TCTI
}
boards_end() {
	for pid in "$DIR"/*/pid; do
		[ ! -e "$pid" ] || swtpm_stop "${pid%/pid}"
	done
}

# site TIER [LINE…]: a site in this folder, with the EK roots of the board and a recovery key; lines of tpm: are added.
site() {
	local tier=$1
	shift
	"$PSEC" init --id house --tier "$tier" --yes >/dev/null
	cp "$BATS_FILE_TMPDIR/recovery.pem" .
	cat "$BOARD/ek-roots.pem" >ek-roots.pem
	{
		printf 'tpm:\n  recovery: recovery.pem\n  ek_roots: ek-roots.pem\n'
		[ $# = 0 ] || printf '  %s\n' "$@"
	} >>site.yaml
	# swtpm's EK certificates come without their issuer in NV: it is believed as a root is
	cat "$BOARD/issuercert.pem" >>ek-roots.pem
}

value() { /usr/bin/python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."):
    v = v[int(k)] if isinstance(v, list) else v[k]
print({True: "true", False: "false", None: "null"}.get(v, v) if not isinstance(v, (dict, list)) else json.dumps(v))' "$1" "$2"; }
counter() { echo $((16#$(tpm2_nvread 0x1500020 | od -An -tx1 | tr -d ' \n'))); }
status() { "$PSEC" provision status --json >status.json || true; value status.json "$1"; }

# state [STATE]: everything there as tpm2-tools and openssl see it; they know nothing of psec.
whole_identity() {
	local s=${1:-state}/tpm h
	tpm2_getcap handles-persistent >handles
	for h in 0x81000001 0x81020000 0x81020001; do grep -q "$h" handles || { echo "no $h"; return 1; }; done
	tpm2_getcap handles-nv-index >nv
	grep -q -i 0x1500020 nv && grep -q -i 0x1500021 nv || { cat nv; return 1; }
	for h in idevid iak ldevid; do
		openssl verify -x509_strict -CAfile "$s/trust.pem" -untrusted "$s/$h.pem" "$s/$h.pem" || return 1
	done
	key_of_handle 0x81020000 | cmp - <(openssl x509 -in "$s/idevid.pem" -noout -pubkey) || return 1
	key_of_handle 0x81020001 | cmp - <(openssl x509 -in "$s/iak.pem" -noout -pubkey) || return 1
	ldevid_signs "$s" || return 1
	[ -z "$(find "$s" "${s%/tpm}/secrets" -perm /077 ! -type l)" ] || { echo "others may read"; return 1; }
	[ ! -e "$s/request.json" ] && [ ! -e "$s/ldevid.next.key" ] || { ls "$s"; return 1; }
	[ "$(find "$s" -maxdepth 1 -name 'ldevid-*' | wc -l)" = 1 ]
	[ -z "$(find "$s" -name '*.new')" ] || { ls "$s"; return 1; }
}
key_of_handle() { tpm2_readpublic -Q -c "$1" -f pem -o handle.pem && cat handle.pem; }

# The LDevID's key, loaded by tpm2-tools from the TSS2 file, signs what its certificate's key verifies.
ldevid_signs() {
	/usr/bin/python3 - "$1/ldevid.key" <<-'P'
	import base64, sys
	body = "".join(l for l in open(sys.argv[1]).read().splitlines() if "-----" not in l)
	der, found = base64.b64decode(body), []
	def walk(b):
	    i = 0
	    while i < len(b):
	        tag, n, i = b[i], b[i + 1], i + 2
	        if n & 0x80:
	            k = n & 0x7f
	            n, i = int.from_bytes(b[i:i + k], "big"), i + k
	        if tag == 4: found.append(b[i:i + n])
	        elif tag == 0x30: walk(b[i:i + n])
	        i += n
	walk(der)
	open("ldevid.pub", "wb").write(found[0]); open("ldevid.priv", "wb").write(found[1])
	P
	tpm2_load -Q -C 0x81000001 -u ldevid.pub -r ldevid.priv -c ldevid.ctx || return 1
	echo something >words
	tpm2_sign -Q -c ldevid.ctx -g sha256 -f plain -o words.sig words || return 1
	tpm2_flushcontext -t
	openssl x509 -in "$1/ldevid.pem" -noout -pubkey >ldevid.pubkey
	openssl dgst -sha256 -verify ldevid.pubkey -signature words.sig words
}

# tests/fault/kill_at.c. What counts leaks traces the process, too, and two cannot.
kill_at() { ASAN_OPTIONS=detect_leaks=0 "$B/fault/kill_at" "$@"; }
