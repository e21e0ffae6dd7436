/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_space.h"

#include "fuse_privs.h"
#include "fuse_reply.h"

#include <errno.h>
#include <unistd.h>

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	const struct front *f = fuse_req_userdata(req);
	int r = privs_kill_unless_trusted(req, ino);

	if (r == 0)
		r = fs_fallocate(fs_of(req), ino, mode, (uint64_t)offset, (uint64_t)length);
	/* the steps that were done remain, but after an error the kernel believes that nothing changed */
	if (r == -ENOSPC || r == -EIO)
		fuse_lowlevel_notify_inval_inode(f->se, ino, -1, 0);
	reply(req, r);
}

/* The kernel keeps all but SEEK_DATA and SEEK_HOLE to itself. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	uint64_t found;
	int r;

	if (whence == SEEK_DATA)
		r = fs_seek_data(fs_of(req), ino, (uint64_t)offset, &found);
	else
		r = fs_seek_hole(fs_of(req), ino, (uint64_t)offset, &found);
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
			struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_offset,
			struct fuse_file_info *to_fi, size_t size, int flags)
{
	struct fs_copy range = {
		.from = from,
		.from_offset = (uint64_t)from_offset,
		.to = to,
		.to_offset = (uint64_t)to_offset,
		.size = size,
	};
	ssize_t n = privs_kill_unless_trusted(req, to);

	if (n == 0)
		n = fs_copy_range(fs_of(req), &range);
	if (n < 0)
		reply(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}
