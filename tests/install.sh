#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is installed is complete: programs, helpers, a man page for each, and a library to build against.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/folder.sh
. "$here/folder.sh"
own_folder
dest=$folder
trap 'rm -rf "$dest"' EXIT
trap 'exit 1' INT TERM HUP
fail() {
	echo "FAILED: $*"
	exit 1
}
installed() {
	find "$dest" \( -type f -o -type l \) -name "$1" | grep -q . || fail "$1 is not installed"
}
DESTDIR=$dest/root meson install -C "${BIN:?}" --no-rebuild --quiet || fail install
for program in bufs mkfs.bufs fsck.bufs dump.bufs mount.fuse.bufs umount.fuse.bufs; do
	installed $program
	installed $program.8
done
for f in mount.fuseblk.bufs libbufio.so libbufio.a libbufio.pc libbufio.3 bufio.h bufio_engine.h bufio_test_engine.h; do
	installed $f
done

# the helpers lead to bufs, wherever the prefix is
helper=$(find "$dest/root" -name mount.fuse.bufs)
[ -x "$dest/root$(readlink "$helper")" ] || fail "$helper leads to $(readlink "$helper")"

# every man page is free of warnings
if command -v man >/dev/null; then
	find "$dest/root" -path '*/man[38]/*' | while read -r page; do
		man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null 2>"$dest/warnings"
		[ ! -s "$dest/warnings" ] || fail "$page: $(cat "$dest/warnings")"
	done || exit 1
fi

# a program that has only what is installed
pc=$(find "$dest/root" -name libbufio.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dest/root"
flags=$(pkg-config --cflags --libs libbufio) || fail pkg-config
# shellcheck disable=SC2086
${CC:-cc} -Wall -Wextra -Werror -o "$dest/shared" "$here/install.c" $flags || fail "does not build"
LD_LIBRARY_PATH=$libdir "$dest/shared" "$dest/file" || fail "the shared library does not work"
flags=$(pkg-config --static --cflags --libs libbufio | sed 's/-lbufio/-l:libbufio.a/')
# shellcheck disable=SC2086
${CC:-cc} -Wall -Wextra -Werror -o "$dest/static" "$here/install.c" $flags || fail "does not link statically"
"$dest/static" "$dest/file" || fail "the static library does not work"
