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
peer() {
	t mount -o "loop$1" "$top/peer.img" "$top/peer" 2>"$top/err"
}
peer "" || skip "no ext4: $(cat "$top/err")"
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
# file for the results, least number of lines, arguments
results() {
	to=$1 least=$2
	shift 2
	t matrix "$@" >"$to.all" || die "matrix $*"
	grep -v -e "$known" -e "$nothing" -e "$order" "$to.all" >"$to"
	[ "$(wc -l <"$to")" -gt "$least" ] || die "$to has $(wc -l <"$to") lines"
}
agree() {
	diff "$top/want" "$top/got" >"$top/diff" || {
		head -n 40 "$top/diff"
		die "$(grep -c '^>' "$top/diff") results differ"
	}
}
results "$top/want" 10000 "$top/peer/here"
results "$top/got" 10000 "$mnt/here"
agree
! grep "$known: ." "$top/got.all" || die "a refused rename changed something"
! grep "$nothing.*: [a-zA-Z]*: ." "$top/got.all" || die "chown(-1, -1) changed something"
! grep "$order" "$top/got.all" | grep -v -e ' access wx ' -e ': E[A-Z]*:$' || die "what is refused changed something"
grep -q "$order" "$top/got.all" || die "nothing was refused"
grep -q "^stranger.*$nothing file none: done:" "$top/got.all" || die "chown(-1, -1) is refused"
t umount "$top/peer" || die "umount of the peer"
leave "$img"
clean "$img"

# and where nothing can be changed
peer ,ro || die "read-only peer: $(cat "$top/err")"
t bufs -o ro,strictopen "$img" "$mnt" || die "read-only mount"
results "$top/want" 3000 -r "$top/peer/here"
results "$top/got" 3000 -r "$mnt/here"
agree
! grep ': \(done\|E[A-Z]*\): .' "$top/got.all" || die "something changed on a read-only filesystem"
t umount "$top/peer" || die "umount of the peer"
leave "$img"
