#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What cannot be mounted is refused, with the reason.
. "$(dirname "$0")/lib.sh"
refused() {
	word=$1
	shift
	"$@" 2>"$top/err" && die "not refused: $*"
	grep -q "$word" "$top/err" || die "$*: $(cat "$top/err")"
}
truncate -s 16M "$top/zeros"
refused 'holds no bufs' t bufs "$top/zeros" "$mnt"
refused 'No such file' t bufs "$top/missing" "$mnt"
t mkfs.bufs -q "$img" 16M || die mkfs
refused 'No such file' t bufs "$img" "$top/missing"
refused "unknown option 'nonsense'" t bufs -o nonsense "$img" "$mnt"
refused 'bad value' t bufs -o cache=big "$img" "$mnt"
refused 'contains bufs' t mkfs.bufs "$img"
t bufs "$img" "$mnt" || die mount
refused 'already mounted' t bufs "$img" "$mnt"
refused 'is mounted' t mkfs.bufs -f "$img"
echo x >"$mnt/file"
leave
t bufs -o ro "$img" "$mnt" || die "read-only"
grep -q x "$mnt/file" || die read
refused 'Read-only' touch "$mnt/new"
leave
clean "$img"
