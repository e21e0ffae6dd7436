/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A buffer for a block that is to enter the cache: free, evicted, or waited for.
 *
 * Who waits is on a list, and holds are counted by thread.  So it can be told when waiting is in
 * vain: all buffers are held by threads that wait themselves, or dirty with data that the device
 * just refused.
 */
#include "client.h"
#include <errno.h>
#include <string.h>

#define ROUNDS_REFUSED 5u /* with the pauses between them: about four seconds */

/* A buffer from the reserve between rest and limit; it is to be given back soon. */
static struct bufio_buffer *get_reserve(struct bufio_client *c)
{
	struct bufio_buffer *b = pool_get(c, POOL_LIMIT);

	if (b)
		wake_background(c, BACKGROUND_LOOK);
	return b;
}

static struct bufio_buffer *try_alloc(struct bufio_client *c)
{
	struct bufio_buffer *b = pool_get(c, POOL_REST);

	if (!b)
		b = cache_evict(c);
	/* After a resize: down to the limit first. */
	while (b && pool_is_over(c, atomic_load(&c->nr_limit))) {
		pool_put_cold(b);
		b = pool_get_excess(c);
		if (!b)
			b = cache_evict(c);
	}
	return b ? b : get_reserve(c);
}

static bool is_waiting_locked(const struct bufio_client *c, const _Atomic int32_t *holds)
{
	for (const struct free_waiter *w = c->waiters; w; w = w->next)
		if (w->holds == holds)
			return true;
	return false;
}

/* Is b held, and every hold that of a thread on the list? */
static bool is_held_by_waiters_locked(const struct bufio_client *c, const struct bufio_buffer *b)
{
	uint32_t nr = atomic_load(&c->nr_holds);

	for (uint32_t i = 0; i < nr; i++)
		if (atomic_load(&c->all_holds[i][b->index]) &&
		    !is_waiting_locked(c, c->all_holds[i]))
			return false;
	return hold_count(b) > 0;
}

/*
 * Returns 0 if a buffer may become free by itself.  refused: the device goes on refusing
 * writes, so what is pinned would only be dirty next, and its owner may be waiting for this thread.  A waiter that got a buffer leaves the list under the lock
 * before it enters it, so what we see belongs together.
 */
static int why_stuck(struct bufio_client *c, bool refused)
{
	uint32_t nr = atomic_load(&c->nr_touched), nr_stuck = 0;
	int r = -EDEADLK;

	pthread_mutex_lock(&c->free_lock);
	for (uint32_t i = 0; i < nr && r; i++) {
		const struct bufio_buffer *b = &c->buffers[i];
		uint64_t s = atomic_load(&b->state);

		if (!(s & ST_VALID))
			continue; /* on its way between free and used, or not in memory */
		nr_stuck++;
		if (is_held_by_waiters_locked(c, b) && !(s & (ST_READING | ST_WRITING)))
			continue;
		if (refused && (s & (ST_DIRTY | ST_PINS)) && !(s & ST_WRITING) &&
		    hold_count(b) == 0)
			r = -ENOBUFS;
		else
			r = 0;
	}
	pthread_mutex_unlock(&c->free_lock);
	return pool_is_over(c, nr_stuck) ? 0 : r;
}

static void waiter_add(struct bufio_client *c, struct free_waiter *w)
{
	struct holder *h = hold_mine(c);

	/* Whose holds the shared holder counts cannot be told. */
	w->holds = h == &c->shared ? NULL : h->holds;
	pthread_mutex_lock(&c->free_lock);
	w->next = c->waiters;
	c->waiters = w;
	atomic_fetch_add(&c->free_waiters, 1);
	pthread_mutex_unlock(&c->free_lock);
	/* Rule 3 of hold.c.  (Without the barrier nothing is ever told to be free.) */
	hold_barrier(c);
}

static void waiter_remove(struct bufio_client *c, struct free_waiter *w)
{
	struct free_waiter **link = &c->waiters;

	pthread_mutex_lock(&c->free_lock);
	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	atomic_fetch_sub(&c->free_waiters, 1);
	pthread_mutex_unlock(&c->free_lock);
}

static int wait_for_buffer(struct bufio_client *c, struct bufio_buffer **ret_buffer)
{
	uint64_t since = stats_now_ns(), failed = atomic_load(&c->rounds_failed);
	struct free_waiter w;
	int r = 0;

	atomic_fetch_add(&c->stats.waits, 1);
	stats_trace(c, BUFIO_TRACE_WAIT, 0, 0, 0);
	waiter_add(c, &w);
	for (;;) {
		uint64_t seq = atomic_load(&c->free_seq);

		r = why_stuck(c, atomic_load(&c->rounds_failing) >= ROUNDS_REFUSED &&
					 atomic_load(&c->rounds_failed) != failed);
		*ret_buffer = try_alloc(c);
		if (*ret_buffer || r)
			break;
		wake_background(c, BACKGROUND_ALL);
		wait_free_event(c, seq);
	}
	waiter_remove(c, &w);
	stats_latency(c, BUFIO_LATENCY_WAIT, since);
	return *ret_buffer ? 0 : r;
}

/*
 * Returns 0 and a buffer the caller owns.  -EAGAIN: none is free and the caller does not
 * wait.  -EDEADLK, -ENOBUFS: there is nothing to wait for.
 */
int alloc_buffer(struct bufio_client *c, enum alloc_wait wait, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b = try_alloc(c);
	int r;

	if (!b) {
		r = wait == ALLOC_WAIT ? wait_for_buffer(c, &b) : -EAGAIN;
		if (r)
			return r;
	}
	if (c->aux_stride)
		memset(c->aux + b->index * c->aux_stride, 0, c->aux_stride);
	if (c->callbacks.alloc)
		c->callbacks.alloc(c->options.callback_context, b);
	*ret_buffer = b;
	return 0;
}
