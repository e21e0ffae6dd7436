/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_REPLY_H
#define FUSE_REPLY_H

/* How results of the core become replies; what the files with the requests share. */
#include "fuse_ops.h"

#define REQUEST_MAX (1024 * 1024) /* bytes that a request reads or writes at most */

#define FOREVER 1e9 /* seconds; nobody but the kernel changes the image */

/*
 * Memory for the reply that the calling thread is making, the same each time: new memory costs a page fault for each
 * of its pages.  Aligned, so that the core reads the device right into it.  NULL: there is none.
 */
void *reply_buffer(size_t size);
void reply_buffer_free(void); /* by the thread that ends */

/*
 * Memory for transfers of the largest size, the caller's, who frees it: in few pieces, for a device takes no more than
 * some in a request.  It is the process's as it is touched.  NULL: there is none.
 */
void *transfer_memory(size_t size);

struct fs *fs_of(fuse_req_t req);

void reply(fuse_req_t req, int r); /* 0 or a negative errno */

void stat_of(const struct fs_attr *a, struct stat *st);
void entry_of(const struct fs_attr *a, struct fuse_entry_param *e);

/* A result and, if it is 0, what it came with.  A name takes a reference; one nobody heard of gives it back. */
void reply_entry(fuse_req_t req, int r, const struct fs_attr *a);
void reply_attr(fuse_req_t req, int r, const struct fs_attr *a);

#endif
