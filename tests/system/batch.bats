#!/usr/bin/env bats
# psec provision --batch: many boards side by side, as a factory's script does it; tpm2-tools and openssl look at each.
. "$BATS_TEST_DIRNAME/../cli/helper.bash"
. "$BATS_TEST_DIRNAME/swtpm.bash"

boards=$([ -z "${PSEC_LONG:-}" ] && echo 6 || echo 24)

# TPMs that were never started, made side by side once; the roots of all; a recovery key.
setup_file() {
	local i
	for ((i = 1; i <= boards; i++)); do
		swtpm_make "$BATS_FILE_TMPDIR/$i" &
		[ $((i % 4)) != 0 ] || wait
	done
	wait
	cat "$BATS_FILE_TMPDIR"/*/{ek-roots,issuercert}.pem >"$BATS_FILE_TMPDIR/roots.pem"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$BATS_FILE_TMPDIR/recovery.key" -out "$BATS_FILE_TMPDIR/recovery.pem" \
		-days 3650 -subj /CN=recovery 2>/dev/null
}
setup() {
	own_folder
	export PATH=$B/bin:$PATH
	cp "$BATS_FILE_TMPDIR"/{roots,recovery}.pem .
}
teardown() {
	[ ! -e pid ] || kill -9 "$(cat pid)" 2>/dev/null || true
	for pid in "$DIR"/tpm/*/pid; do
		[ ! -e "$pid" ] || swtpm_stop "${pid%/pid}"
	done
}

# plug N [AS]: that board's TPM runs; prints its TCTI
plug() {
	local to=tpm/${2:-$1}
	mkdir -p tpm
	swtpm_copy "$BATS_FILE_TMPDIR/$1" "$to"
	swtpm_start "$to"
}
a_ca() { psec provision ca init --ca ca --name 'Example Energy' --ek-roots roots.pem >/dev/null; }
batch() { local file=$1; shift; psec provision --batch "$file" --ca ca --recovery recovery.pem "$@"; }
# last KEY…: of the last line of each board in DIR/results.jsonl
last() { local dir=$1; shift; /usr/bin/python3 -c 'import json, sys
rows = {}
for line in open(sys.argv[1] + "/results.jsonl"):
    r = json.loads(line)
    rows[r["tcti"]] = r
for r in rows.values():
    print(*(r[k] for k in sys.argv[2:]))' "$dir" "$@"; }

# whole TCTI FOLDER SERIAL: what must be there, by programs that know nothing of psec
whole() {
	local s=$2/state/tpm h at
	export TPM2TOOLS_TCTI=$1
	tpm2_getcap handles-persistent >handles
	for h in 0x81000001 0x81020000 0x81020001; do grep -q "$h" handles || { echo "$3: no $h"; return 1; }; done
	tpm2_getcap handles-nv-index >nv
	for h in 0x1500020 0x1500021; do grep -qi "$h" nv || { echo "$3: no $h"; return 1; }; done
	[ "$(tpm2_getcap properties-variable | grep -cE '^ *(owner|endorsement|lockout)AuthSet: *1')" = 3 ] || { echo "$3: no auths"; return 1; }
	for at in idevid:0x81020000 iak:0x81020001; do
		openssl verify -x509_strict -CAfile ca/root.pem -untrusted "$s/${at%:*}.pem" "$s/${at%:*}.pem" >/dev/null || return 1
		tpm2_readpublic -Q -c "${at#*:}" -f pem -o handle.pem
		openssl x509 -in "$s/${at%:*}.pem" -noout -pubkey | cmp - handle.pem || { echo "$3: another key"; return 1; }
	done
	openssl x509 -in "$s/idevid.pem" -noout -subject | grep -q "serialNumber = $3" || { echo "$3: another name"; return 1; }
	openssl cms -decrypt -inform PEM -in "$s/escrow.pem" -inkey "$BATS_FILE_TMPDIR/recovery.key" | grep -q "\"serial\": *\"$3\"" ||
		{ echo "$3: no escrow"; return 1; }
}

@test "the factory script of the manual provisions boards side by side" {
	awk '/^; factory script/ { armed = 1; next } armed && /^```/ { inside = !inside; if (!inside) exit; next } inside' \
		"$TOP/man/psec-provision.1.scd" >script
	[ "$(grep -c . script)" -le 12 ]
	grep -q -- --batch script
	a_ca
	mkdir bin
	printf '#!/bin/sh\ncat >"%s/printed.$$.pdf"\n' "$DIR" >bin/lp
	chmod +x bin/lp
	for ((i = 1; i < boards; i++)); do plug "$i"; done >slots
	# one of them behind a program, as a board behind ssh is
	plug "$boards" >/dev/null
	echo "cmd:socat STDIO UNIX-CONNECT:$DIR/tpm/$boards/s" >>slots
	PATH=$DIR/bin:$PATH sh script lot-1 slots >out 2>err || { cat out err; false; }
	cat out
	grep -q "^$boards done, 0 kept, 0 failed of $boards" out
	lot=$(echo lot-*.csv.d)
	last "$lot" tcti folder serial >done
	[ "$(cut -d' ' -f3- done | grep -oE 'P2-[0-9]{6}$' | sort -u | wc -l)" = "$boards" ]
	while read -r line; do
		serial=${line##* } tcti=${line% * *}
		case $tcti in cmd:*) tcti=swtpm:path=$DIR/tpm/$boards/s ;; esac
		whole "$tcti" "$lot/$serial" "$serial"
		[ -z "$(tpm2_getcap -T "$tcti" handles-transient)$(tpm2_getcap -T "$tcti" handles-loaded-session)" ]
	done <done
	# a label was printed for each, and says what the registry says
	[ "$(find . -maxdepth 1 -name 'printed.*.pdf' | wc -l)" = "$boards" ]
	rsvg-convert -z 3 "$lot/P2-000001/label.svg" >label.png
	zbarimg -q --raw label.png 2>/dev/null >read
	number=$(psec provision ca list --ca ca --json P2-000001 | /usr/bin/python3 -c 'import json, sys
print(next(r["number"] for r in json.load(sys.stdin) if r["profile"] == "idevid"))')
	grep -qE "^psec:1;serial=P2-000001;ek=[0-9a-f]{64};idevid=$number\$" read
	psec provision label P2-000001 --ca ca --svg again.svg --product 'Example P2'
	cmp again.svg "$lot/P2-000001/label.svg"
	psec provision label P2-000001 --from "$lot" | tail -n 2 | grep -q '^EK [0-9a-f]'
	# a backup was made, and once more finds all there
	[ -s "${lot%.csv.d}.backup" ]
	PATH=$DIR/bin:$PATH run sh script lot-1 slots
	[ "$status" = 0 ]
	[[ $output == *"0 done, $boards kept, 0 failed of $boards"* ]]
}

@test "a batch that is killed goes on where it stopped, with the serials that it gave" {
	a_ca
	{ echo serial,tcti; for ((i = 1; i <= boards; i++)); do echo "auto,$(plug "$i")"; done; } >boards.csv
	kill -STOP "$(cat tpm/4/pid)" "$(cat tpm/5/pid)" # both at work wait for these: the last is not begun
	"$PSEC" provision --batch boards.csv --ca ca --recovery recovery.pem --serial-prefix K --jobs 2 >out 2>&1 &
	echo $! >pid
	wait_until 30 grep -q '"state":"done"' boards.csv.d/results.jsonl
	kill -9 "$(cat pid)"
	wait "$(cat pid)" || true
	rm pid
	kill -CONT "$(cat tpm/4/pid)" "$(cat tpm/5/pid)"
	last boards.csv.d tcti serial | sort >before
	[ "$(wc -l <before)" -lt "$boards" ] # it was killed in the middle
	run batch boards.csv --serial-prefix K
	echo "$output"
	[ "$status" = 0 ]
	[[ $output =~ ([0-9]+)\ done,\ ([0-9]+)\ kept,\ 0\ failed ]]
	[ "${BASH_REMATCH[2]}" -ge 1 ]
	[ $((BASH_REMATCH[1] + BASH_REMATCH[2])) = "$boards" ]
	last boards.csv.d tcti serial | sort >after
	[ -z "$(comm -23 before after)" ]
	last boards.csv.d tcti folder serial | while read -r tcti folder serial; do whole "$tcti" "boards.csv.d/$folder" "$serial"; done
	[ "$(psec provision ca serial --ca ca K)" = "$(printf 'K-%06d' $((boards + 1)))" ]
}

@test "a file for all boards that is none is told once, and no board is begun" {
	a_ca
	printf 'serial,tcti\nA-1,swtpm:path=/nowhere/s\n' >one.csv
	for option in recovery ek-roots trust; do
		echo rubbish >bad.pem
		run psec provision --batch one.csv --ca ca --$option bad.pem
		echo "$output"
		[ "$status" = 65 ]
		[[ $output == *bad.pem* && $output != *"1 failed"* ]]
	done
	run psec provision --batch one.csv --ca ca --recovery missing.pem
	[ "$status" = 74 ]
}

@test "three of them are broken: the others are done, and each says what it has" {
	a_ca
	plug 1 >/dev/null
	swtpm_stop tpm/1
	swtpm_copy tpm/1 tpm/twin
	one=$(swtpm_start tpm/1)
	twin=$(swtpm_start tpm/twin)
	locked=$(plug 2)
	export TPM2TOOLS_TCTI=$locked
	tpm2_dictionarylockout -s -n 1 -t 1000 -l 1000
	tpm2_createprimary -Q -C o -c p.ctx
	tpm2_create -Q -C p.ctx -p good -u k.pub -r k.priv -G ecc
	tpm2_flushcontext -t
	tpm2_load -Q -C p.ctx -u k.pub -r k.priv -c k.ctx
	echo words >words
	run ! tpm2_sign -Q -c k.ctx -p wrong -g sha256 -o sig words
	tpm2_flushcontext -t
	printf '%s\n' serial,tcti "B-1,$one" "B-2,$locked" "B-3,swtpm:path=$DIR/tpm/none/s" "B-4,$(plug 3)" >boards.csv
	# the twin comes when its endorsement key is known
	run batch boards.csv
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"2 done, 0 kept, 2 failed of 4"* ]]
	[[ $output == *"B-2 at $locked: "*"lock-out"* && $output == *"B-3 at swtpm:path=$DIR/tpm/none/s: cannot reach"* ]]
	echo "B-5,$twin" >>boards.csv
	run batch boards.csv
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"0 done, 2 kept, 3 failed of 5"* ]]
	[[ $output == *"B-5 at $twin: this TPM is board 'B-1' already"*"that one's FILE and --out go on with it"* ]]
	# mended: what failed is done, the others are left alone
	tpm2_dictionarylockout -c
	tpm2_dictionarylockout -s -n 10 -t 1000 -l 1000
	sed -i '/^B-[35],/d' boards.csv
	run batch boards.csv --only-failed
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"1 done, 0 kept, 0 failed, 2 not begun of 3"* ]]
	grep -qE '^B-1 .* skipped .* B-1 *$' <<<"$output"
	whole "$locked" boards.csv.d/B-2 B-2
}

@test "two stations at once never give one serial twice" {
	a_ca
	{ echo serial,tcti; for i in 1 2 3; do echo "auto,$(plug $i)"; done; } >left.csv
	{ echo serial,tcti; for i in 4 5 6; do echo "auto,$(plug $i)"; done; } >right.csv
	batch left.csv --serial-prefix S --station left >left 2>&1 &
	left=$!
	batch right.csv --serial-prefix S --station right >right 2>&1 || { cat right; false; }
	wait "$left" || { cat left; false; }
	{ last left.csv.d serial station; last right.csv.d serial station; } | sort >given
	cut -d' ' -f1 given | diff - <(printf 'S-%06d\n' 1 2 3 4 5 6)
	[ "$(grep -c ' left$' given)" = 3 ]
}

@test "a board that comes back is reworked once, also with another TPM" {
	a_ca
	printf 'serial,tcti,site\nR-1,%s,house-1\nR-2,%s,\n' "$(plug 1)" "$(plug 2)" >boards.csv
	batch boards.csv
	psec provision ca list --ca ca R-1 | grep -c ' valid ' | diff - <(echo 3)
	# R-2 gets a new TPM, at the same place
	swtpm_stop tpm/2
	rm -r tpm/2
	plug 3 2 >/dev/null
	run batch boards.csv
	[ "$status" = 1 ]
	[[ $output == *"R-2 at "* ]]
	run batch boards.csv --rework 'TPM replaced'
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"2 done, 0 kept"* ]]
	whole "swtpm:path=$DIR/tpm/2/s" boards.csv.d/R-2 R-2
	[ "$(psec provision ca list --ca ca R-1 | grep -c ' revoked ')" = 3 ]
	number=$(last boards.csv.d certificates)
	run batch boards.csv --rework 'TPM replaced'
	[ "$status" = 0 ]
	[[ $output == *"0 done, 2 kept"* ]]
	[ "$(last boards.csv.d certificates)" = "$number" ]
}
