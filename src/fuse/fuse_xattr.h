/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_XATTR_H
#define FUSE_XATTR_H

/* The requests about extended attributes, of struct fuse_lowlevel_ops. */
#include "fuse_ops.h"

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
