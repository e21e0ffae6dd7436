/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_DURABLE_H
#define ENGINE_DURABLE_H

/* Durable writes that the calling thread waits for itself: a part of the aio engine. */
#include "engine_file.h"

/*
 * What keeps each field safe:
 *	L  lock, which is held in the system calls of a write
 */
struct durable_lane {
	pthread_mutex_t lock;
	io_context_t context; /* L; NULL before the first write */
	int done_fd; /* L; eventfd: a write ended, perhaps one before; -1 where there is none */
};

/* So many threads at once; the kernel joins the flushes of their writes. */
#define ENGINE_DURABLE_LANES 16

struct engine_durable {
	struct durable_lane lanes[ENGINE_DURABLE_LANES];
};

void engine_durable_init(struct engine_durable *d);
void engine_durable_finish(struct engine_durable *d);

/*
 * Write io with RWF_DSYNC, once, while watching w, which may be NULL.  Returns what the kernel made of
 * it, bytes or -errno; -EAGAIN: it was not tried.
 */
int engine_durable_write(struct engine_durable *d, const struct engine_file *f,
			 const struct bufio_io *io, struct bufio_watch *w);

#endif
