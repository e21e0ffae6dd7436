/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_space.h"

#include "fuse_privs.h"
#include "fuse_reply.h"

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	int r = privs_kill_unless_trusted(req, ino);

	if (r == 0)
		r = fs_fallocate(fs_of(req), ino, mode, (uint64_t)offset, (uint64_t)length);
	reply(req, r);
}
