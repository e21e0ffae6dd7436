/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Becoming dirty, being written, and what is written but not yet flushed.  No I/O.
 *
 * dirty_map has a bit for every buffer that is DIRTY or WRITING, and maybe for others: marking
 * sets it after DIRTY, a finished write clears it under written_lock, under which collectors
 * read it.  written_map and flushing_map have one for every buffer that was written and, like
 * evicted_written and evicted_flushing, may be lost if the next flush fails.
 */
#include "client.h"

static uint64_t bit_of(const struct bufio_buffer *b)
{
	return UINT64_C(1) << (b->index % 64);
}

static void count_dirty(struct bufio_client *c)
{
	int64_t n = atomic_fetch_add(&c->nr_dirty, 1) + 1;
	int64_t much =
		(int64_t)atomic_load(&c->nr_cache) * c->options.dirty_background_percent / 100;

	if (n == much + 1 || atomic_load(&c->background_idle))
		wake_background(c, BACKGROUND_LOOK);
}

/* extra is ST_PARTIAL, if only dirty_range changed, or ST_DOUBT, or 0. */
static void mark(struct bufio_buffer *b, uint64_t extra)
{
	struct bufio_client *c = b->client;
	uint64_t s = atomic_load(&b->state), word = b->index / 64, n;

	do {
		n = s | ST_DIRTY | extra;
		/* What is dirty as a whole, or has no contents on the device, stays so. */
		if (extra != ST_PARTIAL || (s & ST_NEW) ||
		    (s & (ST_DIRTY | ST_PARTIAL)) == ST_DIRTY)
			n &= ~(ST_NEW | ST_PARTIAL);
	} while (!atomic_compare_exchange_weak(&b->state, &s, n));
	if ((n & ST_DOUBT) && !(s & ST_DOUBT))
		atomic_fetch_add(&c->nr_doubt, 1);
	if (!(atomic_load(&c->dirty_map[word]) & bit_of(b)))
		atomic_fetch_or(&c->dirty_map[word], bit_of(b));
	if (s & ST_DIRTY)
		return;
	atomic_store(&b->dirty_ms, stats_now_ms());
	count_dirty(c);
}

void dirty_mark(struct bufio_buffer *b)
{
	mark(b, 0);
}

void dirty_mark_in_doubt(struct bufio_buffer *b)
{
	mark(b, ST_DOUBT);
}

/*
 * The range grows before the state says DIRTY, so whoever takes the range may get more than
 * he asked for, or nothing when another took it: then the whole block is written.
 */
void dirty_mark_range(struct bufio_buffer *b, size_t start, size_t end)
{
	_Atomic uint64_t *range = &b->client->dirty_range[b->index];
	uint64_t old = atomic_load(range), both;

	do {
		uint64_t from = old ? old >> 32 : start, to = old ? (uint32_t)old : end;

		from = start < from ? start : from;
		to = end > to ? end : to;
		both = from << 32 | to;
	} while (!atomic_compare_exchange_weak(range, &old, both));
	mark(b, ST_PARTIAL);
}

/* The bytes to write, start << 32 | end, of a buffer that was claimed in that state. */
uint64_t dirty_take_range(struct bufio_buffer *b, uint64_t state)
{
	struct bufio_client *c = b->client;
	uint64_t align = c->engine->sector_bytes, range, start, end;

	range = atomic_exchange(&c->dirty_range[b->index], 0);
	if (!(state & ST_PARTIAL) || !range)
		return c->options.block_bytes;
	if (align < c->engine->memory_align)
		align = c->engine->memory_align;
	if (align > c->options.block_bytes)
		return c->options.block_bytes;
	start = (range >> 32) & ~(align - 1);
	end = ((uint32_t)range + align - 1) & ~(align - 1);
	return start << 32 | end;
}

/* A write of b succeeded, and no flush is owed.  It may leave now; the caller wakes who waits for that. */
void dirty_written_durably(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;
	uint64_t s, bit = bit_of(b), word = b->index / 64;

	atomic_fetch_add(&b->nr_written, 1);
	if (atomic_load(&c->rounds_failing))
		atomic_store(&c->rounds_failing, 0);
	/* A collector under the lock sees the bit or that the write is over. */
	pthread_mutex_lock(&c->written_lock);
	s = atomic_load(&b->state);
	while (!atomic_compare_exchange_weak(&b->state, &s,
					     s & ~(ST_WRITING | (s & ST_DIRTY ? 0 : ST_DOUBT))))
		;
	if (!(s & ST_DIRTY)) {
		atomic_fetch_and(&c->dirty_map[word], ~bit);
		if (atomic_load(&b->state) & (ST_DIRTY | ST_WRITING))
			atomic_fetch_or(&c->dirty_map[word], bit);
	}
	pthread_mutex_unlock(&c->written_lock);
	/* DIRTY again since the claim: what the failed flush left in doubt may be still. */
	if ((s & ST_DOUBT) && !(s & ST_DIRTY))
		atomic_fetch_sub(&c->nr_doubt, 1);
	wait_wake(b);
}

/* The same, but only a flush makes it durable. */
void dirty_written(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;

	atomic_fetch_or(&c->written_map[b->index / 64], bit_of(b));
	atomic_store(&c->unflushed, true);
	dirty_written_durably(b);
}

/* A write of b failed: it is as dirty as before, all of it. */
void dirty_write_failed(struct bufio_buffer *b)
{
	uint64_t s = atomic_load(&b->state);

	while (!atomic_compare_exchange_weak(&b->state, &s,
					     (s & ~(ST_WRITING | ST_PARTIAL)) | ST_DIRTY))
		;
	if (!(s & ST_DIRTY))
		atomic_fetch_add(&b->client->nr_dirty, 1);
	wait_wake(b);
}

/*
 * b leaves the cache.  What leaves between its write and the flush can no longer be written again.
 * flush.c moves the bits such that one of the two is always set.
 */
void dirty_evicted(struct bufio_buffer *b, enum evict_why why)
{
	struct bufio_client *c = b->client;
	uint64_t bit = bit_of(b), word = b->index / 64, written, flushing;

	if (!((atomic_load(&c->written_map[word]) | atomic_load(&c->flushing_map[word])) & bit))
		return;
	pthread_mutex_lock(&c->written_lock);
	written = atomic_fetch_and(&c->written_map[word], ~bit) & bit;
	flushing = atomic_fetch_and(&c->flushing_map[word], ~bit) & bit;
	/* Of two writes the newer one counts. */
	if (written && why == EVICT_WRITTEN)
		c->evicted_written++;
	else if (flushing && why == EVICT_WRITTEN)
		c->evicted_flushing++;
	pthread_mutex_unlock(&c->written_lock);
}

/* What was written past the buffers cannot be written again if the flush fails. */
void dirty_written_past(struct bufio_client *c)
{
	pthread_mutex_lock(&c->written_lock);
	c->evicted_written++;
	pthread_mutex_unlock(&c->written_lock);
	atomic_store(&c->unflushed, true);
}
