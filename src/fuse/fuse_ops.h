/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs.h"

/* What the requests share; the session's user data. */
struct front {
	struct fs *fs;
	struct fuse_session *se;
	void (*ready)(void *context); /* the kernel and we have agreed: the mount is usable */
	void *ready_context;
	uint64_t init_unique; /* of the INIT request */
	uint32_t
		added; /* FUSE_* of the kernel's INIT request that libfuse does not know but we do */
	struct read_pool *reads; /* fuse_read.c */
	bool no_xattr;		 /* mounted so */
	bool strict_open;	 /* mounted so */
	bool write_back;	 /* mounted so; strict_open is set too */
	bool strict_atime;	 /* mounted so */
	const char *options;	 /* that it was mounted with */
};

extern const struct fuse_lowlevel_ops front_ops;

#endif
