#!/bin/sh
# Lines of at most 120 columns (a tab goes to the next fourth), functions of at most 80 lines, files of at most 600:
# what is longer does too much. lines.sh [FOLDER…]: lib, cmd and psecd, or others.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- lib cmd psecd
# A byte is a character here, so that every awk counts alike; of a character of UTF-8 the first byte counts.
find "$@" -name '*.[ch]' | sort | LC_ALL=C xargs awk '
function say(s) { print s; bad = 1 }
function columns(s,   i, n) {
  gsub(/[\200-\277]/, "", s)
  while ((i = index(s, "\t"))) { n += i - 1; n += 4 - n % 4; s = substr(s, i + 1) }
  return n + length(s)
}
function end_file() { if (last > 600) say(file ": " last " lines, at most 600: a room has more than one file") }
FNR == 1 { end_file(); file = FILENAME; begun = 0 }
{ last = FNR }
columns($0) > 120 { say(FILENAME ":" FNR ": " columns($0) " columns, at most 120") }
/^\{/ { begun = FNR }
/^\}/ && begun {
  if (FNR - begun + 1 > 80) say(FILENAME ":" begun ": a function of " FNR - begun + 1 " lines, at most 80")
  begun = 0
}
END { end_file(); exit bad }' || exit 1
