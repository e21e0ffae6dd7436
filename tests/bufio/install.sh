#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A stranger's view: install into an empty place, build the examples with pkg-config alone and run
# them; nothing but bufio_ leaves the shared library.
set -eu
source=$1 build=$2
command -v pkg-config >/dev/null || exit 77
# shellcheck source=tests/folder.sh
. "$(dirname "$0")/../folder.sh"
own_folder
top=$folder
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM HUP
DESTDIR=$top/root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$top/root" -name libbufio.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$top/root"
export LD_LIBRARY_PATH="$lib"

# every header alone, as C and, where there is a compiler, as C++
for h in bufio bufio_engine bufio_test_engine; do
	echo "#include <$h.h>" >"$top/$h.c"
	# shellcheck disable=SC2046
	cc -std=c11 -Wall -Wextra -Werror -Wno-unused-parameter -c "$top/$h.c" -o "$top/$h.o" $(pkg-config --cflags libbufio)
	if command -v c++ >/dev/null; then
		# shellcheck disable=SC2046
		c++ -Wall -Werror -x c++ -c "$top/$h.c" -o "$top/$h.o" $(pkg-config --cflags libbufio)
	fi
done

others=$(nm -D --defined-only "$lib"/libbufio.so.0 | awk '$2 != "A" { print $3 }' | grep -v '^bufio_.*@@LIBBUFIO_0$' || true)
[ -z "$others" ] || { echo "exported: $others"; exit 1; }

others=$(nm --defined-only --extern-only "$lib"/libbufio.a | awk 'NF == 3 { print $3 }' | grep -v '^bufio_' || true)
[ -z "$others" ] || { echo "global in libbufio.a: $others"; exit 1; }

# a program that has functions of our private names, with the archive
names=$(nm --defined-only "$lib"/libbufio.a | awk '$2 == "t" { print $3 }' | grep -E '^(cache|wait|pool|hold|dirty|stats|flush|fence|alloc|writer|writeback|background|read|engine)_[a-z_]+$' | sort -u)
[ "$(echo "$names" | wc -l)" -gt 30 ] || { echo "too few private names: $names"; exit 1; }
{
	echo '#include <bufio.h>'
	for name in $names; do echo "int $name(void); int $name(void) { return 7; }"; done
	echo 'int main(int argc, char **argv) { struct bufio_engine *e;'
	echo 'if (bufio_engine_open(argv[1], NULL, &e)) return 1; bufio_engine_destroy(e); return cache_release() != 7; }'
} >"$top/clash.c"
# shellcheck disable=SC2046
cc -Wno-unused-parameter "$top/clash.c" -o "$top/clash" $(pkg-config --cflags libbufio) "$lib/libbufio.a" -laio -lpthread
truncate -s 1M "$top/clash.img"
"$top/clash" "$top/clash.img"

for example in count_blocks page_store; do
	# shellcheck disable=SC2046
	cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-parameter \
		"$source/docs/examples/$example.c" -o "$top/$example" $(pkg-config --cflags --libs libbufio)
done

store=$top/store
truncate -s 1M "$store"
[ "$("$top/count_blocks" "$store")" = 0 ]
for i in 1 2 3 4 5; do
	"$top/page_store" "$store" set "key $i" "value $i"
done
"$top/page_store" "$store" set "key 3" "another value"
[ "$("$top/page_store" "$store" get "key 3")" = "another value" ]
[ "$("$top/page_store" "$store" get "key 5")" = "value 5" ]
if "$top/page_store" "$store" get "key 6" 2>/dev/null; then exit 1; fi
n=$("$top/count_blocks" "$store")
[ "$n" -ge 1 ] && [ "$n" -le 5 ]

# a changed byte is found
page=$(grep -abo 'another value' "$store" | cut -d: -f1)
printf X | dd of="$store" bs=1 seek="$page" conv=notrunc 2>/dev/null
message=$("$top/page_store" "$store" get "key 3" 2>&1 || true)
case $message in *"Bad message"*) ;; *) echo "not found: $message"; exit 1 ;; esac

# every call of the header is in a man page
calls=$(grep -oE '\bbufio_[a-z_]+\(' "$source"/src/bufio/include/bufio.h | tr -d '(' | sort -u)
for call in $calls; do
	grep -qw -- "$call" "$source"/docs/man/*.3 || { echo "no man page has $call"; exit 1; }
done
echo "installed, built and run"
