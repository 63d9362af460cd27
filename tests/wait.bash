# wait_until SECONDS COMMAND…: until it succeeds; then at most so long.
wait_until() {
	local end=$((SECONDS + $1 + 1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*" >&2; return 1; }
		command sleep 0.05
	done
}
