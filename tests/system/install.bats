# The Debian package in a bare root that systemd runs: installed, used, upgraded, removed, purged.
. "$BATS_TEST_DIRNAME/site.bash"

# Everything once: building and booting take most of a minute. What happened inside comes out as words in $OUT.
setup_file() {
	export WORK=$(mktemp -d "${TMPDIR:-/tmp}/psec-install.XXXXXX")
	export OUT=$WORK/root/root/out
	# What is packaged is the product, also where the tests run under sanitizers.
	env -u SAN make -s -C "$TOP" B="$WORK/build" deb >"$WORK/deb.log" 2>&1 || { cat "$WORK/deb.log"; return 1; }
	export DEB=$(echo "$WORK"/build/deb/psec_*.deb)
	[ "$(id -u)" = 0 ] || return 0
	bare_root && upgrade_of "$DEB" && boot
}

teardown_file() { rm -rf --one-file-system "$WORK"; }

bare_root() {
	local needs sources
	needs=$(dpkg-deb -f "$DEB" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g')
	sources=$(ls /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
	mmdebstrap --quiet --mode=root --variant=minbase --include="systemd-sysv,$needs" bookworm "$WORK/root" "$sources" \
		>"$WORK/mmdebstrap.log" 2>&1 || { cat "$WORK/mmdebstrap.log"; return 1; }
	cp "$DEB" "$WORK/root/root/psec.deb"
}

upgrade_of() {
	dpkg-deb -R "$1" "$WORK/next"
	sed -i 's/^Version: .*/&+1/' "$WORK/next/DEBIAN/control"
	dpkg-deb -b "$WORK/next" "$WORK/root/root/next.deb" >/dev/null
}

boot() {
	cp "$BATS_TEST_DIRNAME/installed" "$WORK/root/root/installed"
	cat >"$WORK/root/etc/systemd/system/installed.service" <<-UNIT
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /root/installed
	ExecStopPost=/bin/systemctl --no-block poweroff
	StandardOutput=file:/root/out
	StandardError=file:/root/log
	[Install]
	WantedBy=multi-user.target
	UNIT
	ln -s ../installed.service "$WORK/root/etc/systemd/system/multi-user.target.wants/installed.service"
	timeout 180 systemd-nspawn -q -D "$WORK/root" --register=no --keep-unit --private-network -b </dev/null \
		>"$WORK/boot.log" 2>&1 || true
}

booted() {
	[ "$(id -u)" = 0 ] || skip "a bare root needs root"
	[ -f "$OUT" ] || { tail -n 5 "$WORK/boot.log"; skip "systemd cannot be booted in a container here"; }
}

# said WORDS…: each stands in what came out, on a line of its own.
said() {
	local word
	for word; do
		grep -qxF "$word" "$OUT" || { echo "'$word' is not among:"; cat "$OUT" "${OUT%out}log"; return 1; }
	done
}

@test "the package has what make install has, and lintian finds no error" {
	dpkg-deb -c "$DEB" >"$BATS_TEST_TMPDIR/files"
	for f in usr/bin/psec usr/sbin/psecd usr/libexec/psec/psecd-core usr/libexec/psec/psecd-field lib/systemd/system/psecd.service \
		usr/lib/sysusers.d/psec.conf usr/lib/tmpfiles.d/psec.conf usr/share/psec/profiles/sunspec-meter.yaml \
		usr/share/bash-completion/completions/psec usr/share/zsh/vendor-completions/_psec \
		usr/share/fish/vendor_completions.d/psec.fish usr/share/man/man8/psecd.8.gz; do
		grep -q " \./$f\$" "$BATS_TEST_TMPDIR/files" || { echo "$f is missing"; return 1; }
	done
	run ! grep -E '^E:' "$WORK/deb.log"
}

@test "the recipe builds with what make deps installs, and has this version" {
	local version
	version=$(sed -n 's/^#define PSEC_VERSION "\(.*\)"/\1/p' "$TOP/lib/base/base.h")
	[ "$(dpkg-deb -f "$DEB" Version)" = "$version" ]
	for p in $(sed -n 's/^debs_build := \(.*\)/\1/p; /^debs_build/,/[^\\]$/s/^\t\(.*\)/\1/p' "$TOP/Makefile" | tr -d '\\'); do
		case $p in gcc|libc6-dev|make|pkg-config) continue ;; esac
		grep -qw -- "$p" "$TOP/psecd/deb/control" || { echo "$p is not in Build-Depends"; return 1; }
	done
}

@test "systemd finds nothing odd in the unit, and it stays well bounded" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	local unit=$BATS_TEST_TMPDIR/psecd.service
	sed 's|@SBINDIR@|/bin|; s|@SYSCONFDIR@|/etc|; s|/bin/psecd|/bin/true|' "$TOP/psecd/install/psecd.service.in" >"$unit"
	run -0 systemd-analyze verify --man=no "$unit"
	run -0 systemd-analyze security --offline=true --threshold=35 "$unit"
	unit=$BATS_TEST_TMPDIR/psec-state-crypt@dev-sda4.service
	sed 's|@BINDIR@|/usr/bin|' "$TOP/psecd/install/psec-state-crypt@.service.in" >"$unit"
	run -0 systemd-analyze verify --man=no "$unit"
}

@test "installed: both users and the folders are there, and psecd waits for a site" {
	booted
	said 'installed 0' 'users 2' 'psec-field is in dialout' 'state is of root and psec-core' 'without a site: inactive'
}

@test "a technician's way from init to self-consumption, under the unit as shipped" {
	booted
	said 'scan --write 0' 'restart 0' 'check 0' 'mode 0' 'missing protection: none' 'core is psec-core' 'field is psec-field'
}

@test "the supervisor is killed: the field becomes safe, and systemd starts it again" {
	booted
	said 'field became safe' 'again: running'
}

@test "upgraded: the devices became safe first, the mode is as it was, site.yaml is untouched" {
	booted
	said 'upgraded 0' 'safe before the upgrade' 'mode after it: self-consumption' 'site.yaml is the same'
}

@test "removed: nothing runs; site and records are left; purged: the records are gone, what a person wrote is not" {
	booted
	said 'removed 0' 'nothing runs' 'records are left' 'purged 0' 'records are gone' 'site.yaml is left'
}
