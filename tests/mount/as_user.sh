#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# as_user.sh SCRIPT...: run a test of an ordinary user, from root: in namespaces of its own (lib.sh), with the
# programs and sources where the user may read them, and a /dev/fuse as udev would make it.
set -eu
: "${BIN:?}"
[ -e /dev/fuse ] || exit 77
user=65534
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/folder.sh
. "$here/../folder.sh"
own_folder
box=$folder
trap 'rm -rf "$box"' EXIT
trap 'exit 1' INT TERM HUP
sources=$(cd "$here/../.." && pwd)
mkdir "$box/tmp" "$box/src"
chmod 755 "$box"
chown $user:$user "$box/tmp"
(cd "$sources" && tar -cf - meson* README.md docs src tests tools) | tar -C "$box/src" --no-same-owner -xf -
(cd "$BIN" && find src/fuse tools tests/mount -maxdepth 1 -type f -perm -100 | tar -cf - -T -) |
	tar -C "$(mkdir "$box/bin" && echo "$box/bin")" --no-same-owner -xf -
chmod -R a+rX "$box/src" "$box/bin"
mknod -m 666 "$box/fuse" c 10 229
script=$(basename "$1")
shift
export BIN="$box/bin" TMPDIR="$box/tmp"
# shellcheck disable=SC2016
sh "$here/alone.sh" sh -c '
	mount --bind "$1/fuse" /dev/fuse || exit 77
	# fusermount3 cannot unmount without it; a minimal Debian has none
	[ -e /etc/mtab ] || {
		mkdir "$1/etc" && ln -s /proc/self/mounts "$1/etc/mtab" &&
			mount -t overlay -o "lowerdir=$1/etc:/etc" overlay /etc || exit 77
	}
	cd /
	shift
	exec setpriv --reuid="$1" --regid="$1" --clear-groups sh "$2/tests/mount/$3" $4' \
	sh "$box" $user "$box/src" "$script" "$*"
