#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# alone.sh COMMAND...: run it in namespaces of its own, of mounts and of processes, by root.
# Another process that begins a namespace of mounts takes copies of all mounts there are into it, and a device stays in
# use as long as any copy of its mount is left, although it was unmounted here; and programs that look at every mount
# of the machine would find those of other tests, dead on purpose.  (What came along would keep other daemons beyond
# their unmount.)
# The processes end with the command, its daemons too, also when it is killed.  The mounts end with the last process
# that sees them, and the unmount of fuseblk asks the daemon: a daemon that ends last would wait for itself.  So
# another process waits until all have closed their end of a pipe; it is not of the group that is killed.
set -u
# shellcheck disable=SC2016
exec unshare -m sh -c '
	umount -i -l -a -t fuse.bufs,fuseblk.bufs 2>/dev/null
	mount -t fusectl fusectl /sys/fs/fuse/connections 2>/dev/null # to abort one; not everywhere is it mounted
	trap : INT TERM HUP # it is the command that ends for one
	exec 4>&1
	code=$({
		unshare -p --fork --kill-child sh -c "mount -t proc proc /proc && \"\$@\"; exit \$?" sh "$@" 9>&1 >&4 4>&-
		echo $?
	} | setsid cat 2>/dev/null 4>&-)
	exit "${code:-1}"' sh "$@"
