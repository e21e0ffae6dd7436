/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_IOCTL_H
#define FUSE_IOCTL_H

#include "fuse_ops.h"

/* The ioctl request of struct fuse_lowlevel_ops; -ENOTTY for what is none of ours. */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_bytes, size_t out_bytes);

#endif
