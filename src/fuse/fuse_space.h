/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_SPACE_H
#define FUSE_SPACE_H

/* Requests about where a file has its bytes. */
#include "fuse_ops.h"

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);

#endif
