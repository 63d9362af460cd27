# What the tests of commands share: the program, a folder of their own, no settings of the person who runs them.
TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
B=${B:-$TOP/build}
case $B in /*) ;; *) B=$TOP/$B ;; esac
PSEC=$B/bin/psec
unset PSEC_SHARE
export LC_ALL=C.UTF-8 TERM=xterm
unset NO_COLOR COLUMNS

bats_require_minimum_version 1.5.0

own_folder() {
	DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/psec.XXXXXX")
	# Never the machine's own site: without this, a command without -C would mean /etc/psec.
	export HOME=$DIR XDG_STATE_HOME=$DIR/xdg PSEC_SITE=$DIR
	cd "$DIR"
}
