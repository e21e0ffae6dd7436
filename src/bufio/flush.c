/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flush of the device's own cache, shared by those who need one at the same time, and what
 * follows when it fails: all written since the last good one is dirty again, and in doubt until
 * it was written again.
 *
 * Flushes are numbered.  One that began after my writes completed serves me, unless something
 * was in doubt then: a good flush does not make durable what an earlier one lost.
 */
#include "client.h"

/* What was written so far is what the flush that begins now answers for. */
static bool begin(struct bufio_client *c)
{
	atomic_store(&c->unflushed, false);
	pthread_mutex_lock(&c->written_lock);
	for (uint32_t i = 0; i < c->nr_words; i++) {
		uint64_t bits = atomic_load(&c->written_map[i]);

		if (!bits)
			continue;
		/* In this order: dirty_evicted() looks without the lock. */
		atomic_fetch_or(&c->flushing_map[i], bits);
		atomic_fetch_and(&c->written_map[i], ~bits);
	}
	c->evicted_flushing += c->evicted_written;
	c->evicted_written = 0;
	pthread_mutex_unlock(&c->written_lock);
	return atomic_load(&c->nr_doubt) > 0;
}

static void end_good(struct bufio_client *c)
{
	pthread_mutex_lock(&c->written_lock);
	for (uint32_t i = 0; i < c->nr_words; i++)
		if (atomic_load(&c->flushing_map[i]))
			atomic_store(&c->flushing_map[i], 0);
	c->evicted_flushing = 0;
	pthread_mutex_unlock(&c->written_lock);
}

/* Returns whether something was evicted that only the failed flush would have made durable. */
static bool end_bad(struct bufio_client *c)
{
	bool lost;

	atomic_fetch_add(&c->stats.flush_errors, 1);
	for (uint32_t i = 0; i < c->nr_words; i++)
		for (uint64_t bits = atomic_load(&c->flushing_map[i]); bits; bits &= bits - 1)
			cache_redirty(c, i * 64 + (uint32_t)__builtin_ctzll(bits));
	atomic_store(&c->unflushed, true);
	pthread_mutex_lock(&c->written_lock);
	lost = c->evicted_flushing > 0;
	c->evicted_flushing = 0;
	pthread_mutex_unlock(&c->written_lock);
	return lost;
}

/* Run one flush with flush_lock given up meanwhile. */
static void run_locked(struct bufio_client *c)
{
	uint64_t number = ++c->flush_started, since = stats_now_ns();
	bool doubt, lost = false;
	int r;

	c->flush_running = true;
	pthread_mutex_unlock(&c->flush_lock);
	doubt = begin(c);
	atomic_fetch_add(&c->stats.flushes, 1);
	r = c->engine->ops->flush(c->engine);
	if (r)
		lost = end_bad(c);
	else
		end_good(c);
	stats_latency(c, BUFIO_LATENCY_FLUSH, since);
	stats_trace(c, BUFIO_TRACE_FLUSH, 0, 0, r);
	pthread_mutex_lock(&c->flush_lock);
	c->flush_running = false;
	c->flush_done = number;
	if (r)
		c->flush_error = r;
	if (r || doubt)
		c->flush_failed = number;
	if (lost && !c->lost_error)
		c->lost_error = r;
	pthread_cond_broadcast(&c->flush_wake);
}

int flush_device(struct bufio_client *c, enum flush_need need)
{
	uint64_t mine;
	int r;

	pthread_mutex_lock(&c->flush_lock);
	mine = c->flush_started;
	if (need == FLUSH_ALWAYS || atomic_load(&c->unflushed) || atomic_load(&c->nr_doubt))
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
