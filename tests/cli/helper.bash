# What tests of the programs share: the programs, a folder of their own, no settings of the person who runs them.
TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
B=${B:-$TOP/build}
case $B in /*) ;; *) B=$TOP/$B ;; esac
PSEC=$B/bin/psec
PSECD=$B/bin/psecd
unset PSEC_SITE PSEC_CA PSEC_SHARE PSEC_LIBEXEC NOTIFY_SOCKET WATCHDOG_USEC
export LC_ALL=C.UTF-8 TERM=xterm
unset NO_COLOR COLUMNS

bats_require_minimum_version 1.5.0

. "$TOP/tests/wait.bash"

# near VALUE WANTED BY: what is no number is near nothing.
near() {
	awk -v v="$1" -v w="$2" -v by="$3" 'BEGIN {
		number = "^[-+]?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]+)?$"
		exit !(v ~ number && w ~ number && v - w <= by && w - v <= by)
	}' || { echo "'$1' is not $2 ± $3"; false; }
}

own_folder() {
	DIR=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/psec.XXXXXX")
	# Never the machine's own site: without this, a command without -C would mean /etc/psec.
	export HOME=$DIR XDG_STATE_HOME=$DIR/xdg PSEC_SITE=$DIR
	cd "$DIR"
}

# program_of_the_manual PAGE WORDS [N]: the Nth (or first) block of lines after the line that begins with WORDS
program_of_the_manual() {
	awk -v words="$2" -v n="${3:-1}" 'index($0, words) == 1 { armed = 1 }
		armed && /^```/ { inside = !inside; if (inside) n--; else if (!n) exit; next } inside && !n' "$TOP/man/$1.scd" |
		sed 's|\\\\|\\|g' | grep .
}
