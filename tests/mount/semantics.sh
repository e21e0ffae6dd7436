#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# semantics.sh file|loop|user|writeback: what programs may expect of a filesystem, and it is clean afterwards.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
if [ "$1" = user ]; then need_user_mount; else need_root; fi
limit=600
truncate -s 512M "$img"
target=$img
[ "$1" != loop ] || {
	need_loop
	target=$loop
}
t mkfs.bufs -q -N 150000 "$target" || die mkfs
# What differs where the kernel collects what is written (bufs(8)): no test of these passes, and all others do.
late="all_ways_to_sync_work all_works_near_16_tib holes_and_data_can_be_found kept_size_does_not_grow_and_truncate_gives_back
	punching_takes_blocks_and_leaves_zeros reading_is_seen_in_the_access_time
	times_out_of_range_become_the_first_and_the_last too_large_a_file_is_EFBIG
	what_is_kept_behind_the_end_stays_when_the_file_grows zeroing_keeps_the_blocks"
if [ "$1" = writeback ]; then
	t bufs -o writeback "$target" "$mnt" || die mount
	DIR=$mnt t semantics >"$top/semantics"
	# shellcheck disable=SC2086
	printf '%s\n' $late >"$top/late"
	sed -n 's/^[^ ]*:[FE]:[a-z]*:\([A-Za-z0-9_]*\):.*/\1/p' "$top/semantics" | sort -u | diff "$top/late" - || {
		cat "$top/semantics"
		die "other tests fail than those that must"
	}
else
	t bufs "$target" "$mnt" || die mount
	DIR=$mnt t semantics || die semantics
fi
# where it collects writes, the kernel has times and sizes of its own (as of a file larger than can be): writeback.sh
[ "$1" != writeback ] || {
	leave "$target"
	clean "$target"
	exit 0
}
picture "$mnt" >"$top/before"
leave "$target"
clean "$target"
t bufs "$target" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "the remount differs"
leave "$target"
