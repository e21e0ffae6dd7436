/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a buffer's state, and for any buffer to become free.
 *
 * The places to sleep are a table in the client, never in a buffer, so a waker that comes
 * late touches nothing that was reused.  A waker changes the state with a sequentially
 * consistent operation and then reads nr_waiters; a waiter counts itself and then reads the
 * state: one of the two sees the other, so no wake-up is lost.  Calls nothing of the cache.
 */
#include "client.h"

static struct wait_shard *shard_of(struct bufio_buffer *b)
{
	return &b->client->wait_shards[b->index % NR_WAIT_SHARDS];
}

void wait_wake(struct bufio_buffer *b)
{
	struct wait_shard *w = shard_of(b);

	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&w->nr_waiters))
		return;
	pthread_mutex_lock(&w->lock);
	atomic_fetch_add(&w->nr_wakes, 1);
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static struct wait_shard *wait_begin(struct bufio_buffer *b)
{
	struct wait_shard *w = shard_of(b);

	pthread_mutex_lock(&w->lock);
	atomic_fetch_add(&w->nr_waiters, 1);
	return w;
}

static void wait_end(struct wait_shard *w)
{
	atomic_fetch_sub(&w->nr_waiters, 1);
	pthread_mutex_unlock(&w->lock);
}

uint64_t wait_while(struct bufio_buffer *b, uint64_t mask)
{
	uint64_t s = atomic_load(&b->state);
	struct wait_shard *w;

	if (!(s & mask))
		return s;
	w = wait_begin(b);
	while ((s = atomic_load(&b->state)) & mask)
		pthread_cond_wait(&w->wake, &w->lock);
	wait_end(w);
	return s;
}

static bool is_kept(struct bufio_buffer *b, uint64_t block)
{
	uint64_t s = atomic_load(&b->state);

	if (!(s & ST_DIRTY) || atomic_load(&b->block) != block)
		return false;
	return (s & ST_PINS) || (b->client->options.stable_writes && hold_count(b) != 0);
}

/* Until nothing keeps the dirty block from being written: no pin, with stable_writes no hold. */
void wait_while_kept(struct bufio_buffer *b, uint64_t block)
{
	struct wait_shard *w = wait_begin(b);

	while (is_kept(b, block))
		pthread_cond_wait(&w->wake, &w->lock);
	wait_end(w);
}

/* Until the write in flight ends, or has ended and another one runs. */
void wait_write(struct bufio_buffer *b, uint32_t nr_written)
{
	struct wait_shard *w = wait_begin(b);

	while ((atomic_load(&b->state) & ST_WRITING) && atomic_load(&b->nr_written) == nr_written)
		pthread_cond_wait(&w->wake, &w->lock);
	wait_end(w);
}

/*
 * For what is not in the state alone: enter, look, sleep for a wake-up since seq, look again,
 * leave.  Returns seq.
 */
uint64_t wait_enter(struct bufio_buffer *b)
{
	struct wait_shard *w = shard_of(b);

	atomic_fetch_add(&w->nr_waiters, 1);
	return atomic_load(&w->nr_wakes);
}

uint64_t wait_sleep(struct bufio_buffer *b, uint64_t seq)
{
	struct wait_shard *w = shard_of(b);

	pthread_mutex_lock(&w->lock);
	while (atomic_load(&w->nr_wakes) == seq)
		pthread_cond_wait(&w->wake, &w->lock);
	seq = atomic_load(&w->nr_wakes);
	pthread_mutex_unlock(&w->lock);
	return seq;
}

void wait_leave(struct bufio_buffer *b)
{
	atomic_fetch_sub(&shard_of(b)->nr_waiters, 1);
}

/* Sleep unless a buffer became free since free_seq was seq; the caller counted itself. */
void wait_free_event(struct bufio_client *c, uint64_t seq)
{
	pthread_mutex_lock(&c->free_lock);
	while (atomic_load(&c->free_seq) == seq)
		pthread_cond_wait(&c->free_wake, &c->free_lock);
	pthread_mutex_unlock(&c->free_lock);
}

void wait_free_wake(struct bufio_client *c)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&c->free_waiters))
		return;
	pthread_mutex_lock(&c->free_lock);
	atomic_fetch_add(&c->free_seq, 1);
	pthread_cond_broadcast(&c->free_wake);
	pthread_mutex_unlock(&c->free_lock);
}

void wait_async_begin(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	c->nr_async++;
	pthread_mutex_unlock(&c->free_lock);
}

/* The last touch of the client: destroy waits for it. */
void wait_async_end(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	if (--c->nr_async == 0)
		pthread_cond_broadcast(&c->free_wake);
	pthread_mutex_unlock(&c->free_lock);
}

void wait_async_all(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	while (c->nr_async)
		pthread_cond_wait(&c->free_wake, &c->free_lock);
	pthread_mutex_unlock(&c->free_lock);
}

void wake_background(struct bufio_client *c, enum background_what what)
{
	pthread_mutex_lock(&c->background_lock);
	atomic_store(&c->background_idle, false);
	c->background_kicked = true;
	if (what == BACKGROUND_ALL)
		c->background_all = true;
	pthread_cond_signal(&c->background_wake);
	pthread_mutex_unlock(&c->background_lock);
}
