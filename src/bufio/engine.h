/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_H
#define ENGINE_H

/* What all engines share: judging a request, and cutting pieces out of its iovec. */
#include <bufio_engine.h>

/* Returns 0, -EROFS, -EINVAL (shape, alignment) or -ERANGE (past the end). */
int engine_check_io(const struct bufio_engine *e, const struct bufio_io *io);

/* The same for a discard or zero of a range. */
int engine_check_range(const struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes);

/* A part of an iovec, built in the caller's array. */
struct engine_window {
	struct iovec *iov;
	unsigned nr_iov;   /* in: room, out: used */
	size_t size_bytes; /* in: wanted, out: what fits into the room */
};

/* Cut [skip_bytes, skip_bytes + size_bytes) out of io's memory. */
void engine_window_cut(struct engine_window *w, const struct bufio_io *io, size_t skip_bytes);

#endif
