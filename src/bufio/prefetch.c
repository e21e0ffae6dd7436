/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading ahead: what is missing of a range goes to the engine in one call, adjoining blocks as
 * one transfer.  If such a transfer fails its blocks are not cached, and who waits for one reads
 * it himself: the error of a neighbour is not his.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>

#define NR_RUNS 32u /* submitted together */

/* Adjoining buffers.  READING keeps each of them where it is. */
struct prefetch {
	struct bufio_io io;
	struct bufio_client *client;
	uint64_t block, since_ns;
	unsigned nr, most;
	struct bufio_buffer **buffers;
	struct iovec iov[];
};

/* What a call has collected. */
struct batch {
	struct bufio_client *client;
	uint16_t ioprio;
	struct prefetch *open; /* still growing */
	struct bufio_io *ios[NR_RUNS];
	unsigned nr;
};

static void prefetch_done(struct bufio_io *io, int r)
{
	struct prefetch *p = io->context;
	struct bufio_client *c = p->client;

	stats_latency(c, BUFIO_LATENCY_READ, p->since_ns);
	stats_trace(c, BUFIO_TRACE_READ, p->block, p->nr, r);
	for (unsigned i = 0; i < p->nr; i++) {
		struct bufio_buffer *b = p->buffers[i];
		int r1 = r;

		if (!r1 && c->callbacks.verify)
			r1 = c->callbacks.verify(c->options.callback_context, b);
		if (r1)
			atomic_fetch_add(&c->stats.read_errors, 1);
		cache_read_done(b, r1 ? READ_AGAIN : 0);
	}
	wait_free_wake(c);
	free(p);
	wait_async_end(c);
}

static struct prefetch *prefetch_create(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	uint64_t most = c->options.max_io_bytes >> c->block_shift;
	struct prefetch *p;

	most = most > BUFIO_MAX_IOV ? BUFIO_MAX_IOV : most ? most : 1;
	most = nr < most ? nr : most;
	p = malloc(sizeof(*p) + most * (sizeof(p->iov[0]) + sizeof(struct bufio_buffer *)));
	if (!p)
		return NULL;
	p->client = c;
	p->block = block;
	p->nr = 0;
	p->most = (unsigned)most;
	p->buffers = (struct bufio_buffer **)(p->iov + most);
	return p;
}

static void submit(struct batch *batch)
{
	struct bufio_client *c = batch->client;
	unsigned nr = batch->nr;

	batch->nr = 0;
	if (nr)
		c->engine->ops->submit(c->engine, batch->ios, nr);
}

/* The open run is complete. */
static void close_run(struct batch *batch)
{
	struct prefetch *p = batch->open;
	struct bufio_client *c = batch->client;

	if (!p)
		return;
	batch->open = NULL;
	if (!p->nr) {
		free(p);
		return;
	}
	p->io = (struct bufio_io){
		.op = BUFIO_OP_READ,
		.ioprio = batch->ioprio,
		.offset_bytes = p->block << c->block_shift,
		.iov = p->iov,
		.nr_iov = p->nr,
		.size_bytes = (size_t)p->nr << c->block_shift,
		.done = prefetch_done,
		.context = p,
	};
	p->since_ns = stats_now_ns();
	atomic_fetch_add(&c->stats.reads, 1);
	atomic_fetch_add(&c->stats.read_blocks, p->nr);
	wait_async_begin(c);
	batch->ios[batch->nr++] = &p->io;
	if (batch->nr == NR_RUNS)
		submit(batch);
}

/* Returns the block's new buffer, NULL if it needs none, or cannot have one: *ret_full. */
static struct bufio_buffer *enter(struct bufio_client *c, uint64_t block, bool *ret_full)
{
	struct bufio_buffer *b, *b1;

	*ret_full = false;
	if (!cache_is_absent(c, block)) {
		b1 = cache_look(c, block, &b);
		if (b1)
			cache_release(b1);
		if (b1 || b)
			return NULL;
	}
	if (alloc_buffer(c, ALLOC_TRY, &b)) {
		*ret_full = true;
		return NULL;
	}
	b1 = cache_insert(b, block, ST_READING | ST_REF, CACHE_NO_HOLD);
	if (b1 == b)
		return b;
	if (b1)
		cache_release(b1);
	pool_put(b);
	return NULL;
}

/* Returns false when no more can be started.  left: so many blocks, this one included. */
static bool add_block(struct batch *batch, uint64_t block, uint64_t left)
{
	struct bufio_client *c = batch->client;
	struct prefetch *p = batch->open;
	struct bufio_buffer *b;
	bool full;

	if (p && (p->block + p->nr != block || p->nr == p->most))
		close_run(batch);
	if (!batch->open)
		batch->open = prefetch_create(c, block, left);
	p = batch->open;
	if (!p)
		return false;
	b = enter(c, block, &full);
	if (b) {
		p->iov[p->nr] = (struct iovec){b->data, c->options.block_bytes};
		p->buffers[p->nr++] = b;
	} else if (!p->nr) {
		p->block = block + 1;
	}
	return !full;
}

int bufio_prefetch_ioprio(struct bufio_client *c, uint64_t block, uint64_t nr, uint16_t ioprio)
{
	struct batch batch = {.client = c, .ioprio = ioprio};

	if (is_range_bad(c, block, nr))
		return -ERANGE;
	if (nr > atomic_load(&c->nr_cache))
		nr = atomic_load(&c->nr_cache);
	for (uint64_t i = 0; i < nr && add_block(&batch, block + i, nr - i); i++)
		;
	close_run(&batch);
	submit(&batch);
	return 0;
}

int bufio_prefetch(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	return bufio_prefetch_ioprio(c, block, nr, 0);
}
