#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# alone.sh COMMAND...: run it in namespaces of its own, of mounts and of processes, by root.
# Another process that begins a namespace of mounts takes copies of all mounts there are into it, and a device stays in
# use as long as any copy of its mount is left, although it was unmounted here; and programs that look at every mount
# of the machine would find those of other tests, dead on purpose.  (What came along would keep other daemons beyond
# their unmount.)
# The processes end with the command, its daemons too, also when it is killed, and the mounts with the last of them.
# fusectl is there to abort a connection; not everywhere is it mounted.
set -u
# shellcheck disable=SC2016
exec unshare -m -p --fork --kill-child sh -c '
	mount -t proc proc /proc || exit 1
	umount -i -l -a -t fuse.bufs,fuseblk.bufs 2>/dev/null
	mount -t fusectl fusectl /sys/fs/fuse/connections 2>/dev/null
	"$@"
	exit $?' sh "$@"
