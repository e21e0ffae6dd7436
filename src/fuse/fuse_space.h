/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_SPACE_H
#define FUSE_SPACE_H

/* Requests about where a file has its bytes. */
#include "fuse_ops.h"

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
			struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_offset,
			struct fuse_file_info *to_fi, size_t size, int flags);

#endif
