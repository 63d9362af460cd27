#!/bin/sh
# tests/lean.sh BUILD_DIR: each executable loads the libraries that tests/lean.list names, no more and no fewer. What
# a process does not load, it need not have updated, and nobody can attack it there.
set -eu
cd "$(dirname "$0")/.."
build=$1
case $build in */san|*/san/) echo "the sanitizers bring libraries of their own"; exit 77 ;; esac
bad=0
for exe in "$build"/bin/*; do
	name=$(basename "$exe")
	want=$(sed -n "s/^$name *: *//p" tests/lean.list | tr ' ' '\n' | grep . | sort)
	[ -n "$want" ] || { echo "$name is not in tests/lean.list"; bad=1; continue; }
	# "libm.so.6 => /lib/… (0x…)"; the kernel's page and the loader itself are in every process
	has=$(ldd "$exe" | awk '$2 == "=>" { print $1 }' | sort)
	for lib in $has; do
		printf '%s\n' "$want" | grep -qxF "$lib" || { echo "$name loads $lib, which tests/lean.list does not name"; bad=1; }
	done
	for lib in $want; do
		printf '%s\n' "$has" | grep -qxF "$lib" || { echo "$name does not load $lib, which tests/lean.list names"; bad=1; }
	done
done
exit $bad
