#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random calls against a model in memory: one process with remounts in between, then several at once.  $SEED repeats a run.
. "$(dirname "$0")/lib.sh"
need_user_mount
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
truncate -s 64M "$img"
t mkfs.bufs -q "$img" || die mkfs
cat >"$top/remount" <<EOF
set -e
if [ "\$(id -u)" = 0 ]; then umount "$mnt"; else fusermount3 -u "$mnt"; fi
fsck.bufs -n -f "$img" >"$top/fsck" 2>&1 || { cat "$top/fsck"; exit 1; }
bufs "$img" "$mnt"
EOF
t bufs "$img" "$mnt" || die mount
mkdir "$mnt/alone" "$mnt/a" "$mnt/b" "$mnt/c"
REMOUNT="timeout 60 sh $top/remount" t fuzz_mount "$mnt/alone" "$seed" 400 10 || die "with remounts, seed $seed"
pids=
for dir in a b c; do
	seed=$((seed + 1))
	t fuzz_mount "$mnt/$dir" "$seed" 600 3 &
	pids="$pids $!"
done
failed=
for pid in $pids; do
	wait "$pid" || failed=yes
done
[ -z "$failed" ] || die "several at once"
leave "$img"
clean "$img"
