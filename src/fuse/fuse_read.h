/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_READ_H
#define FUSE_READ_H

/*
 * READ.  What has to come from the device is replied to by whoever completes the transfer: the thread that receives goes
 * on to the next request, so that many random reads are under way without a thread, or a wake-up of one, for each.
 */
#include "fuse_reply.h"

struct read_pool *read_pool_create(void);	/* NULL: no memory */
void read_pool_destroy(struct read_pool *pool); /* waits for reads under way; NULL is allowed */

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);

#endif
