#!/bin/sh
# Each header compiles alone, and twice: it includes what it uses and guards itself.
set -eu
cd "$(dirname "$0")/.."
CC=${CC:-gcc}
export CC
find lib cmd psecd -name '*.h' | sort | xargs -P "$(nproc)" -n 1 sh -c '
	h=$1; name=${h#lib/}; name=${name#psecd/}
	printf "#include \"%s\"\n#include \"%s\"\n" "$name" "$name" |
		"$CC" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wstrict-prototypes -Wundef -Werror -fsyntax-only \
			-iquote lib -iquote psecd -iquote "$(dirname "$h")" -iquote . -x c - || { echo "$h does not compile alone"; exit 1; }
' sh
