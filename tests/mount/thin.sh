#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A sparse image on a store that has no room for it.  What is written is refused sooner or later, everything is answered, nothing that
# was durable is lost, and fsck.bufs tells why it stopped.
. "$(dirname "$0")/lib.sh"
need_root
limit=60
mkdir "$top/store"
mount -t tmpfs -o size=20M none "$top/store" || skip "no tmpfs"
img=$top/store/image
t mkfs.bufs -q "$img" 200M || die mkfs
t bufs "$img" "$mnt" || die mount
echo kept >"$mnt/kept"
t sync "$mnt/kept" || die "sync of a file"
# more than the cache, in pieces that go past it
refused 1 "dd:" t dd if=/dev/zero of="$mnt/big" bs=1M count=100 conv=fsync
grep -q kept "$mnt/kept" || die "what was durable cannot be read"
refused 1 "touch:" t touch "$mnt/new"
t ls -l "$mnt" >/dev/null || die ls
t stat -f "$mnt" >/dev/null || die "stat -f"
leave "$img"
t fsck.bufs -n -f "$img" >"$top/out" 2>&1
[ $? = 4 ] || die "fsck of what has recorded an error: $(cat "$top/out")"
grep -q "No space left on device" "$top/out" || die "no reason: $(cat "$top/out")"
t bufs -o ro "$img" "$mnt" || die "mount again"
grep -q kept "$mnt/kept" || die "what was durable is lost"
leave "$img"
