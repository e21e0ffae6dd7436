# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# Read first by a test of root whose programs look at every mount of the machine: it runs again in a mount
# namespace of its own, where other tests' mounts, which may be dead on purpose, are not to be seen.
[ "$(id -u)" = 0 ] || exit 77
[ -n "${INSIDE:-}" ] || INSIDE=1 exec unshare -m --propagation private sh "$0"
# what others have mounted came along, and would keep their daemons beyond their unmount
umount -i -l -a -t fuse.bufs,fuseblk.bufs 2>/dev/null
