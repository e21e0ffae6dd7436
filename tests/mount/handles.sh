#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# File handles, as an NFS server uses them: they find their inode when the kernel has forgotten it, and after a remount;
# what was deleted is stale, also if the number is another's by now.
. "$(dirname "$0")/lib.sh"
need_root
t mkfs.bufs -q -N 256 "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
handle of / "$top/any" 2>"$top/err" || skip "no file handles: $(cat "$top/err")"
mkdir -p "$mnt/a/b/c"
echo >"$mnt/a/b/c/file"
ln -s target "$mnt/a/link"
mkfifo "$mnt/a/fifo"
names="a a/b/c a/b/c/file a/link a/fifo ."

keep_all() {
	for n in $names; do
		t handle of "$mnt/$n" "$top/handle.$(echo "$n" | tr / _)" || die "handle of $n"
	done
}
# Directories are found with their path, others with their number.
all_are_found() {
	for n in $names; do
		t handle open "$mnt" "$top/handle.$(echo "$n" | tr / _)" >"$top/found" || die "$1: $n is lost"
		[ "$(awk '{print $3}' "$top/found")" = "$(stat -c %i "$mnt/$n")" ] || die "$1: $n is another: $(cat "$top/found")"
		[ ! -d "$mnt/$n" ] || [ "$(awk '{print $1}' "$top/found")" = "$(realpath "$mnt/$n")" ] ||
			die "$1: $n is at $(cat "$top/found")"
	done
}
forget() {
	sync
	echo 2 >/proc/sys/vm/drop_caches || skip "cannot drop caches"
}
stale() {
	t handle open "$mnt" "$top/$1" >"$top/found" 2>"$top/err" && die "$2: found $(cat "$top/found")"
	grep -q ESTALE "$top/err" || die "$2: $(cat "$top/err")"
}
keep_all
all_are_found "cached"
forget
all_are_found "forgotten"
leave "$img"
t bufs "$img" "$mnt" || die remount
all_are_found "after a remount"

# deleted, before and after the kernel forgets; then with the number reused
number=$(stat -c %i "$mnt/a/b/c/file")
rm "$mnt/a/b/c/file"
stale handle.a_b_c_file "deleted"
forget
stale handle.a_b_c_file "deleted and forgotten"
i=0
while [ "$(stat -c %i "$mnt/a/b/c/file" 2>/dev/null)" != "$number" ]; do
	i=$((i + 1))
	[ $i -le 2000 ] || die "the number is never used again"
	[ ! -e "$mnt/a/b/c/file" ] || mv "$mnt/a/b/c/file" "$mnt/a/$i"
	: >"$mnt/a/b/c/file"
done
stale handle.a_b_c_file "another has the number"
forget
stale handle.a_b_c_file "another has the number, forgotten"
leave "$img"
t bufs "$img" "$mnt" || die remount
stale handle.a_b_c_file "another has the number, after a remount"
rm -r "$mnt/a/b"
forget
stale handle.a_b_c "a deleted directory"
leave "$img"
clean "$img"
