/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking blocks out of the cache: what is clean, what no longer matters, everything. */
#include "client.h"
#include <errno.h>

/* By whichever is shorter, the range or the cache. */
void each_cached(struct bufio_client *c, uint64_t block, uint64_t nr, cache_visit *visit,
		 void *context)
{
	uint32_t nr_buffers = atomic_load(&c->nr_touched);

	for (uint64_t i = 0; nr < nr_buffers / 4 && i < nr; i++) {
		struct bufio_buffer *b = cache_glance(c, block + i);

		if (b)
			visit(b, block + i, context);
	}
	for (uint32_t i = 0; nr >= nr_buffers / 4 && i < nr_buffers; i++) {
		struct bufio_buffer *b = &c->buffers[i];
		uint64_t at = atomic_load(&b->block);

		if ((atomic_load(&b->state) & ST_VALID) && at >= block && at - block < nr)
			visit(b, at, context);
	}
}

/* Buffers on their way out together. */
struct batch {
	struct bufio_client *client;
	uint64_t allowed; /* as for cache_drop() */
	uint64_t nr_kept; /* that the caller must hear of */
	unsigned n;
	struct leaver list[MOST_LEAVING];
};

/* Returns how many left; those that did not are behind them in the list. */
static unsigned batch_drop(struct batch *batch)
{
	unsigned nr_left = 0;

	if (batch->n)
		nr_left = cache_drop_together(batch->client, batch->list, batch->n, batch->allowed);
	for (unsigned i = 0; i < nr_left; i++)
		pool_put(batch->list[i].buffer);
	return nr_left;
}

static void batch_forget(struct batch *batch)
{
	batch_drop(batch);
	batch->n = 0;
}

/* What is busy stays; a barrier interrupts every processor, so it is not for those. */
static void visit_forget(struct bufio_buffer *b, uint64_t block, void *context)
{
	struct batch *batch = context;

	if (atomic_load(&b->state) & ST_BUSY)
		return;
	batch->list[batch->n++] = (struct leaver){b, block};
	if (batch->n == MOST_LEAVING)
		batch_forget(batch);
}

void bufio_forget_range(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct batch batch = {.client = c};

	each_cached(c, block, nr, visit_forget, &batch);
	batch_forget(&batch);
}

void bufio_forget(struct bufio_client *c, uint64_t block)
{
	bufio_forget_range(c, block, 1);
}

/* One that was busy, held or used in the batch.  Returns whether it is kept. */
static bool discard_one(struct bufio_buffer *b, uint64_t block)
{
	uint64_t s;

	do {
		s = wait_while(b, ST_WRITING | ST_READING);
		if (atomic_load(&b->block) != block || !(s & ST_VALID))
			return false;
		if (cache_drop(b, block, ST_DIRTY)) {
			pool_put(b);
			return false;
		}
	} while (!(atomic_load(&b->state) & ST_PINS) && hold_count(b) == 0);
	return true;
}

static void batch_discard(struct batch *batch)
{
	for (unsigned i = batch_drop(batch); i < batch->n; i++)
		batch->nr_kept += discard_one(batch->list[i].buffer, batch->list[i].block);
	batch->n = 0;
}

static void visit_discard(struct bufio_buffer *b, uint64_t block, void *context)
{
	struct batch *batch = context;

	batch->list[batch->n++] = (struct leaver){b, block};
	if (batch->n == MOST_LEAVING)
		batch_discard(batch);
}

int bufio_discard_buffers(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct batch batch = {.client = c, .allowed = ST_DIRTY};
	int r;

	if (is_range_bad(c, block, nr))
		return -ERANGE;
	r = fence_wait_behind(c, block, block + nr);
	if (r)
		return r;
	each_cached(c, block, nr, visit_discard, &batch);
	batch_discard(&batch);
	return batch.nr_kept ? -EBUSY : 0;
}

static bool is_any_pinned(const struct bufio_client *c)
{
	uint32_t nr = atomic_load(&c->nr_touched);

	for (uint32_t i = 0; i < nr; i++)
		if (atomic_load(&c->buffers[i].state) & ST_PINS)
			return true;
	return false;
}

static bool is_any_held(const struct bufio_client *c)
{
	uint32_t nr = atomic_load(&c->nr_touched);

	for (uint32_t i = 0; i < nr; i++)
		if (hold_count(&c->buffers[i]) != 0)
			return true;
	return false;
}

int bufio_drop_buffers(struct bufio_client *c)
{
	int r;

	wait_async_all(c);
	/* Writing would wait for them. */
	if (is_any_pinned(c) || (c->options.stable_writes && is_any_held(c)))
		return -EBUSY;
	r = bufio_write_dirty_buffers(c);
	bufio_forget_range(c, 0, UINT64_MAX);
	if (r)
		return r;
	return is_any_held(c) || is_any_pinned(c) ? -EBUSY : 0;
}

static void visit_abandon(struct bufio_buffer *b, uint64_t block, void *context)
{
	uint64_t s = wait_while(b, ST_WRITING);

	if ((s & ST_DIRTY) && atomic_load(&b->block) == block && cache_drop(b, block, ST_DIRTY)) {
		pool_put(b);
		*(uint64_t *)context += 1;
	}
}

uint64_t bufio_abandon(struct bufio_client *c)
{
	uint64_t nr_lost = behind_abandon(c);

	each_cached(c, 0, UINT64_MAX, visit_abandon, &nr_lost);
	pthread_mutex_lock(&c->flush_lock);
	c->lost_error = 0;
	pthread_mutex_unlock(&c->flush_lock);
	return nr_lost;
}
