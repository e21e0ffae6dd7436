/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_PRIVS_H
#define FUSE_PRIVS_H

/*
 * Set-id bits that go when a file changes, and what the caller of a request may.  FUSE_HANDLE_KILLPRIV_V2 leaves it to
 * us to clear the bits in a write, truncate or chown that the kernel marks so, and in all that it does not tell about.
 */
#include "fuse_ops.h"

#include <linux/capability.h>
#include <stdbool.h>

/*
 * Has the caller this capability, as root of the machine?  Reads /proc, so only for what is rare.  One whose process
 * cannot be seen has what root has.
 */
bool caller_has(fuse_req_t req, unsigned capability);

/* The FS_SET_KILL_* that apply to the inode: 0 if it has no set-id bits; or an error. */
int privs_mask(fuse_req_t req, fuse_ino_t ino, unsigned *ret_mask);

/*
 * Before a change of the contents by one whom the kernel does not trust; or where it does not tell (fallocate,
 * copy_file_range).  0 or an error.
 */
int privs_kill(fuse_req_t req, fuse_ino_t ino);
int privs_kill_unless_trusted(fuse_req_t req, fuse_ino_t ino);

#endif
