# TPMs in software for system tests: each in a private folder, with endorsement certificates of a CA in that folder.

# swtpm_make DIR: a new TPM, with an EK of its own; about a second.
swtpm_make() {
	local dir as=()
	dir=$(realpath -m "$1")
	[ "$(id -u)" != 0 ] || as=(--runas root) # else it becomes the user tss; another user may become nobody
	mkdir -p "$dir/state" && chmod 700 "$dir" "$dir/state" || return
	cat >"$dir/localca.conf" <<-C
		statedir = $dir
		signingkey = $dir/signkey.pem
		issuercert = $dir/issuercert.pem
		certserial = $dir/serial
	C
	printf '%s\n' '--platform-manufacturer psec' '--platform-version 1' '--platform-model test' >"$dir/localca.options"
	cat >"$dir/setup.conf" <<-C
		create_certs_tool = $(command -v swtpm_localca)
		create_certs_tool_config = $dir/localca.conf
		create_certs_tool_options = $dir/localca.options
		active_pcr_banks = sha256
	C
	swtpm_setup --tpm2 "${as[@]}" --config "$dir/setup.conf" --tpmstate "$dir/state" --create-ek-cert \
		--pcr-banks sha256 --logfile "$dir/setup.log" >/dev/null || { cat "$dir/setup.log"; return 1; }
	# The chain of its EK certificates: the issuer in issuercert.pem, its root beside it.
	cat "$dir/swtpm-localca-rootca-cert.pem" >"$dir/ek-roots.pem"
}

# swtpm_copy FROM TO: the same TPM once more, before it was ever started; at once.
swtpm_copy() { cp -a "$1" "$2"; }

# swtpm_start DIR: made when it is not there; waits until it answers, prints its TCTI. A lock of the TCTI's text is what
# psec takes, so everyone must use what is printed.
swtpm_start() {
	local dir
	dir=$(realpath -m "$1")
	[ -d "$dir/state" ] || swtpm_make "$dir" || return
	swtpm socket --tpm2 --tpmstate "dir=$dir/state" --server "type=unixio,path=$dir/s" --ctrl "type=unixio,path=$dir/s.ctrl" \
		--flags not-need-init,startup-clear --log "file=$dir/swtpm.log,level=1" 3>&- >/dev/null 2>&1 &
	echo $! >"$dir/pid" # of this shell's own child
	wait_until 10 swtpm_ioctl --unix "$dir/s.ctrl" -g || { cat "$dir/swtpm.log"; return 1; }
	echo "swtpm:path=$dir/s"
}

# swtpm_stop DIR [SIGNAL]: waits until it has gone; its state stays. psec's lock for it goes with it.
swtpm_stop() {
	local pid lock
	[ -e "$1/pid" ] || return 0
	pid=$(cat "$1/pid")
	rm -f "$1/pid"
	kill "-${2:-TERM}" "$pid" 2>/dev/null || true
	wait_until 10 eval "! kill -0 $pid" || return
	lock=psec-tpm-$(printf 'swtpm:path=%s/s' "$(realpath -m "$1")" | sha256sum | cut -c 1-32)
	rm -f "/run/lock/$lock"* "/tmp/$lock"*
}
