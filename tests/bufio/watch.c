/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define READER 1
#define WRITER 0x10000

struct watch_engine {
	struct bufio_engine head;
	struct bufio_engine *inner;
	unsigned block_bytes;
	uint64_t lenient;
	void (*fail)(uint64_t block, const char *what);
	atomic_uint in_flight[]; /* of each block: READERs and WRITERs */
};

/* A transfer on its way, in place of the submitter's. */
struct watched {
	struct bufio_io inner_io;
	struct bufio_io *io;
	struct watch_engine *w;
};

static void begin(struct watch_engine *w, const struct bufio_io *io)
{
	uint64_t block = io->offset_bytes / w->block_bytes;
	uint64_t end = block + io->size_bytes / w->block_bytes;
	unsigned was;

	for (; block < end && block < w->lenient; block++) {
		was = atomic_fetch_add(&w->in_flight[block],
				       io->op == BUFIO_OP_READ ? READER : WRITER);
		if (was >= WRITER)
			w->fail(block, io->op == BUFIO_OP_READ ? "read while it is being written"
							       : "two writes in flight");
		else if (was)
			w->fail(block, io->op == BUFIO_OP_READ ? "two reads in flight"
							       : "written while it is being read");
	}
}

static void end(struct watch_engine *w, const struct bufio_io *io)
{
	uint64_t block = io->offset_bytes / w->block_bytes;
	uint64_t last = block + io->size_bytes / w->block_bytes;

	for (; block < last && block < w->lenient; block++)
		atomic_fetch_sub(&w->in_flight[block], io->op == BUFIO_OP_READ ? READER : WRITER);
}

static void watched_done(struct bufio_io *inner_io, int result)
{
	struct watched *x = inner_io->context;
	struct bufio_io *io = x->io;

	end(x->w, io);
	free(x);
	io->done(io, result);
}

static void watch_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct watch_engine *w = (struct watch_engine *)e;
	struct bufio_io **inner_ios = malloc(nr * sizeof(struct bufio_io *));

	if (!inner_ios)
		abort();
	for (unsigned i = 0; i < nr; i++) {
		struct watched *x = malloc(sizeof(*x));

		if (!x)
			abort();
		*x = (struct watched){.inner_io = *ios[i], .io = ios[i], .w = w};
		x->inner_io.done = watched_done;
		x->inner_io.context = x;
		inner_ios[i] = &x->inner_io;
		begin(w, ios[i]);
	}
	w->inner->ops->submit(w->inner, inner_ios, nr);
	free(inner_ios);
}

static int watch_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct watch_engine *w = (struct watch_engine *)e;
	int r;

	begin(w, io);
	r = w->inner->ops->transfer(w->inner, io);
	end(w, io);
	return r;
}

static int watch_flush(struct bufio_engine *e)
{
	struct watch_engine *w = (struct watch_engine *)e;

	return w->inner->ops->flush(w->inner);
}

/* The programs discard and zero only blocks that are not watched. */
static int watch_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct watch_engine *w = (struct watch_engine *)e;

	return w->inner->ops->discard(w->inner, offset_bytes, size_bytes);
}

static int watch_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct watch_engine *w = (struct watch_engine *)e;

	return w->inner->ops->zero(w->inner, offset_bytes, size_bytes);
}

static void watch_destroy(struct bufio_engine *e)
{
	struct watch_engine *w = (struct watch_engine *)e;

	bufio_engine_destroy(w->inner);
	free(w);
}

static const struct bufio_engine_ops watch_ops = {
	.submit = watch_submit,
	.transfer = watch_transfer,
	.flush = watch_flush,
	.discard = watch_discard,
	.zero = watch_zero,
	.destroy = watch_destroy,
};

int watch_create(struct bufio_engine *inner, unsigned block_bytes, uint64_t lenient,
		 void (*fail)(uint64_t block, const char *what), struct bufio_engine **ret_engine)
{
	struct watch_engine *w = calloc(1, sizeof(*w) + lenient * sizeof(atomic_uint));

	if (!w)
		return -ENOMEM;
	w->head = *inner;
	w->head.ops = &watch_ops;
	w->head.name = "watch";
	w->inner = inner;
	w->block_bytes = block_bytes;
	w->lenient = lenient;
	w->fail = fail;
	*ret_engine = &w->head;
	return 0;
}
