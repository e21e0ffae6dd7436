#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every call on every kind of thing has the result it has on the kernel's ext4: errors, owners, link counts, times.
. "$(dirname "$0")/lib.sh"
need_root
limit=600
command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
truncate -s 128M "$top/peer.img"
mkfs.ext4 -q -F "$top/peer.img" || die mkfs.ext4
mkdir "$top/peer"
t mount -o loop "$top/peer.img" "$top/peer" 2>"$top/err" || skip "no ext4: $(cat "$top/err")"
t mkfs.bufs -q "$img" 128M || die mkfs
# strictopen: only so immutable files cannot be opened
t bufs -o strictopen "$img" "$mnt" || die mount
mkdir "$mnt/here" "$top/peer/here"
# ext4 changes a directory's times when it refuses this, and POSIX does not want that
known='rename whiteout [a-z]* full: ENOTEMPTY'
# chown(-1, -1): POSIX leaves open whether it counts as a change.  It does for ext4.
nothing='chown nothing'
# what the kernel refuses by itself before it asks, and access(2), about which it does not ask
order='\(rmdir \(file\|link\)\|unlink \(dir\|full\)\|rename\( whiteout\)* \(\(file\|link\) \(dir\|full\)\|\(dir\|full\) \(file\|link\)\)\)'
order="^[a-z ,]*\\(immutable\|append-only\\).*: \\($order\|access wx\\)[ :]"
results() {
	t matrix "$1/here" >"$2.all" || die "matrix in $1"
	grep -v -e "$known" -e "$nothing" -e "$order" "$2.all" >"$2"
	[ "$(wc -l <"$2")" -gt 10000 ] || die "$2 has $(wc -l <"$2") lines"
}
results "$top/peer" "$top/want"
results "$mnt" "$top/got"
diff "$top/want" "$top/got" >"$top/diff" || {
	head -n 40 "$top/diff"
	die "$(grep -c '^>' "$top/diff") results differ"
}
! grep "$known: ." "$top/got.all" || die "a refused rename changed something"
! grep "$nothing.*: [a-zA-Z]*: ." "$top/got.all" || die "chown(-1, -1) changed something"
! grep "$order" "$top/got.all" | grep -v -e ' access wx ' -e ': E[A-Z]*:$' || die "what is refused changed something"
grep -q "$order" "$top/got.all" || die "nothing was refused"
grep -q "^stranger.*$nothing file none: done:" "$top/got.all" || die "chown(-1, -1) is refused"
t umount "$top/peer" || die "umount of the peer"
leave "$img"
clean "$img"
