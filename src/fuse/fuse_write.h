/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUSE_WRITE_H
#define FUSE_WRITE_H

/*
 * WRITE, and the memory that requests are received in: what is to be written goes to the device from there, so the
 * thread that received it goes on with other memory, and the kernel sends the next piece meanwhile.
 */
#include "fuse_reply.h"

struct request_memory;

/* Memory for as many requests as nr_threads threads work on, and a few that are being written.  NULL: there is none. */
struct request_memory *request_memory_create(unsigned nr_threads);

/* Waits for what is being written; all threads have given theirs back.  NULL is allowed. */
void request_memory_destroy(struct request_memory *m);

/* So much can be received in it. */
#define REQUEST_BYTES (REQUEST_MAX + 4096)

/* Where the calling thread is to receive its next request, or NULL: all is in use. */
void *request_memory_get(struct request_memory *m);

/*
 * The same when there was none: waits for some to come back.  If it does not soon, because a device refuses what is written from
 * there, it is the thread's own, from which nothing is written; a mount must answer then, be it with an error.
 * NULL: there is no memory.
 */
void *request_memory_wait(struct request_memory *m);

/* The calling thread ends. */
void request_memory_end(void);

/* The calling thread is done with the request, which may be being written still. */
void request_memory_put(void);

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	      struct fuse_file_info *fi);

#endif
