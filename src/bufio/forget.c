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

static void visit_forget(struct bufio_buffer *b, uint64_t block, void *context)
{
	if (cache_drop(b, block, 0))
		pool_put(b);
}

void bufio_forget_range(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	each_cached(c, block, nr, visit_forget, NULL);
}

void bufio_forget(struct bufio_client *c, uint64_t block)
{
	bufio_forget_range(c, block, 1);
}

static void visit_discard(struct bufio_buffer *b, uint64_t block, void *context)
{
	uint64_t s;

	do {
		s = wait_while(b, ST_WRITING | ST_READING);
		if (atomic_load(&b->block) != block || !(s & ST_VALID))
			return;
		if (cache_drop(b, block, ST_DIRTY)) {
			pool_put(b);
			return;
		}
	} while (!(atomic_load(&b->state) & ST_PINS) && hold_count(b) == 0);
	*(uint64_t *)context += 1;
}

int bufio_discard_buffers(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	uint64_t nr_kept = 0;

	if (is_range_bad(c, block, nr))
		return -ERANGE;
	each_cached(c, block, nr, visit_discard, &nr_kept);
	return nr_kept ? -EBUSY : 0;
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
	each_cached(c, 0, UINT64_MAX, visit_forget, NULL);
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
	uint64_t nr_lost = 0;

	each_cached(c, 0, UINT64_MAX, visit_abandon, &nr_lost);
	pthread_mutex_lock(&c->flush_lock);
	c->lost_error = 0;
	pthread_mutex_unlock(&c->flush_lock);
	return nr_lost;
}
