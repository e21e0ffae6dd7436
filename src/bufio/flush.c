/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flush of the device's own cache, shared by those who need one at the same time, and what
 * follows when it fails: all written since the last good one is dirty again.
 *
 * Flushes are numbered.  One that began after my writes completed serves me.
 */
#include "client.h"

/* What was written so far is what the flush that begins now answers for. */
static void begin(struct bufio_client *c)
{
	atomic_store(&c->unflushed, false);
	for (uint32_t i = 0; i < c->nr_words; i++)
		atomic_fetch_or(&c->flushing_map[i], atomic_exchange(&c->written_map[i], 0));
	atomic_fetch_add(&c->evicted_flushing, atomic_exchange(&c->evicted_written, 0));
}

static void redirty(struct bufio_client *c, uint32_t word)
{
	uint64_t bits = atomic_exchange(&c->flushing_map[word], 0);

	for (; bits; bits &= bits - 1) {
		struct bufio_buffer *b = &c->buffers[word * 64 + (uint32_t)__builtin_ctzll(bits)];
		uint64_t s = atomic_load(&b->state);

		/* Holding keeps it from being evicted between the look and the mark. */
		while ((s & ST_VALID) && !atomic_compare_exchange_weak(&b->state, &s, s + ST_HOLD))
			;
		if (!(s & ST_VALID))
			continue;
		cache_mark_dirty(b);
		cache_release(b);
	}
}

static int end(struct bufio_client *c, int r)
{
	if (r == 0) {
		for (uint32_t i = 0; i < c->nr_words; i++)
			atomic_store(&c->flushing_map[i], 0);
		atomic_store(&c->evicted_flushing, 0);
		return 0;
	}
	atomic_fetch_add(&c->stats.flush_errors, 1);
	for (uint32_t i = 0; i < c->nr_words; i++)
		redirty(c, i);
	atomic_store(&c->unflushed, true);
	return atomic_exchange(&c->evicted_flushing, 0) ? r : 0;
}

/* Run one flush with flush_lock given up meanwhile. */
static void run_locked(struct bufio_client *c)
{
	uint64_t number = ++c->flush_started;
	int r, lost;

	c->flush_running = true;
	pthread_mutex_unlock(&c->flush_lock);
	begin(c);
	atomic_fetch_add(&c->stats.flushes, 1);
	r = c->engine->ops->flush(c->engine);
	lost = end(c, r);
	pthread_mutex_lock(&c->flush_lock);
	c->flush_running = false;
	c->flush_done = number;
	if (r) {
		c->flush_failed = number;
		c->flush_error = r;
	}
	if (lost && !c->lost_error)
		c->lost_error = lost;
	pthread_cond_broadcast(&c->flush_wake);
}

int flush_device(struct bufio_client *c, enum flush_need need)
{
	uint64_t mine;
	int r;

	pthread_mutex_lock(&c->flush_lock);
	mine = c->flush_started;
	if (need == FLUSH_ALWAYS || atomic_load(&c->unflushed))
		mine++;
	while (c->flush_done < mine) {
		if (c->flush_running)
			pthread_cond_wait(&c->flush_wake, &c->flush_lock);
		else
			run_locked(c);
	}
	r = c->lost_error;
	if (!r && mine && c->flush_failed >= mine)
		r = c->flush_error;
	pthread_mutex_unlock(&c->flush_lock);
	return r;
}
