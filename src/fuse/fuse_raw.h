/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_RAW_H
#define FUSE_RAW_H

/* Requests that libfuse 3.14 does not know, as the kernel sends them. */
#include "fuse_ops.h"

#include <linux/fuse.h>
#include <stdbool.h>

/* Answer it on fd, if it is one of these; its body follows *in. */
bool raw_request(struct front *f, int fd, const struct fuse_in_header *in);

/* FUSE_* flags of the INIT reply that libfuse 3.14 leaves out; only those that the kernel offers count. */
#define RAW_INIT_FLAGS                                                                             \
	((uint32_t)(FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT))

/* Does the write or setattr that this thread is working on ask to take set-id bits away? */
bool raw_kills_privs(void);

/* An answer without a body: 0 or a negative errno. */
void raw_answer(int fd, uint64_t unique, int r);

#endif
