/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index from blocks to buffers, holds, and eviction.  No I/O, no callbacks.
 *
 * A chain is walked without a lock.  What was found is believed only after a hold was taken on a
 * VALID buffer (which then can neither be evicted nor change its block) and the block was
 * compared again.  Everything doubtful is looked up again under the shard's mutex.
 */
#include "client.h"
#include <errno.h>
#include <string.h>

#define MAX_STEPS 64 /* a walker may be led into other chains; it gives up, not on for ever */

static uint64_t bucket_of(const struct bufio_client *c, uint64_t block)
{
	uint64_t x = (block >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	/* Runs of 16 blocks share a shard and neighbouring buckets. */
	return (((x >> 32) << 4) | (block & 15)) & c->bucket_mask;
}

static pthread_mutex_t *shard_lock(struct bufio_client *c, uint64_t block)
{
	return &c->shards[(bucket_of(c, block) >> 4) % NR_SHARDS].lock;
}

/* Returns false if the buffer may not be held any more. */
static bool try_hold(struct bufio_buffer *b)
{
	uint64_t s = atomic_load_explicit(&b->state, memory_order_relaxed);

	while (s & ST_VALID) {
		if (atomic_compare_exchange_weak_explicit(&b->state, &s, (s + ST_HOLD) | ST_REF,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	}
	return false;
}

/* A hold on the block's buffer, if that can be had without a lock. */
struct bufio_buffer *cache_find_fast(struct bufio_client *c, uint64_t block)
{
	uint32_t i = atomic_load_explicit(&c->buckets[bucket_of(c, block)], memory_order_acquire);

	for (unsigned step = 0; i && step < MAX_STEPS; step++) {
		struct bufio_buffer *b = &c->buffers[i - 1];

		if (atomic_load_explicit(&b->block, memory_order_relaxed) == block) {
			if (!try_hold(b))
				return NULL;
			if (atomic_load_explicit(&b->block, memory_order_relaxed) == block)
				return b;
			cache_release(b);
			return NULL;
		}
		i = atomic_load_explicit(&b->next, memory_order_acquire);
	}
	return NULL;
}

static struct bufio_buffer *find_locked(struct bufio_client *c, uint64_t block)
{
	uint32_t i = atomic_load(&c->buckets[bucket_of(c, block)]);

	while (i) {
		struct bufio_buffer *b = &c->buffers[i - 1];

		if (atomic_load(&b->block) == block && try_hold(b))
			return b;
		i = atomic_load(&b->next);
	}
	return NULL;
}

struct bufio_buffer *cache_find(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b = cache_find_fast(c, block);
	pthread_mutex_t *lock = shard_lock(c, block);

	if (b)
		return b;
	pthread_mutex_lock(lock);
	b = find_locked(c, block);
	pthread_mutex_unlock(lock);
	return b;
}

/*
 * Put b, which the caller owns, into the index.  Returns the held buffer of the block: b, or
 * another that was there; then b is still the caller's.
 */
struct bufio_buffer *cache_insert(struct bufio_buffer *b, uint64_t block, uint64_t state)
{
	struct bufio_client *c = b->client;
	pthread_mutex_t *lock = shard_lock(c, block);
	_Atomic uint32_t *bucket = &c->buckets[bucket_of(c, block)];
	struct bufio_buffer *other;

	pthread_mutex_lock(lock);
	other = find_locked(c, block);
	if (!other) {
		atomic_store(&b->block, block);
		atomic_store(&b->next, atomic_load(bucket));
		atomic_store(&b->state, state | ST_VALID | ST_HOLD);
		atomic_store_explicit(bucket, b->index + 1, memory_order_release);
	}
	pthread_mutex_unlock(lock);
	return other ? other : b;
}

static void unlink_locked(struct bufio_buffer *b, uint64_t block)
{
	struct bufio_client *c = b->client;
	_Atomic uint32_t *link = &c->buckets[bucket_of(c, block)];

	while (atomic_load(link) != b->index + 1)
		link = &c->buffers[atomic_load(link) - 1].next;
	atomic_store(link, atomic_load(&b->next));
}

static bool map_clear(_Atomic uint64_t *map, uint32_t i)
{
	uint64_t bit = UINT64_C(1) << (i % 64);

	if (!(atomic_load(&map[i / 64]) & bit))
		return false;
	return atomic_fetch_and(&map[i / 64], ~bit) & bit;
}

/* What leaves the cache between its write and the flush can no longer be written again. */
static void count_unflushed(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;
	uint64_t bit = UINT64_C(1) << (b->index % 64);

	if (atomic_load(&c->written_map[b->index / 64]) & bit) {
		atomic_fetch_add(&c->evicted_written, 1);
		if (map_clear(c->written_map, b->index))
			return;
	}
	if (map_clear(c->flushing_map, b->index))
		atomic_fetch_add(&c->evicted_flushing, 1);
}

/*
 * Take b off the index if it is still block's, and busy with nothing but what allowed names.
 * The caller owns it then.
 */
bool cache_drop(struct bufio_buffer *b, uint64_t block, uint64_t allowed)
{
	pthread_mutex_t *lock = shard_lock(b->client, block);
	uint64_t s;
	bool done = false;

	pthread_mutex_lock(lock);
	s = atomic_load(&b->state);
	while (!done && (s & ST_VALID) && !(s & ST_BUSY & ~allowed) &&
	       atomic_load(&b->block) == block)
		done = atomic_compare_exchange_weak(&b->state, &s, 0);
	if (done)
		unlink_locked(b, block);
	pthread_mutex_unlock(lock);
	if (!done)
		return false;
	if (s & ST_DIRTY)
		atomic_fetch_sub(&b->client->nr_dirty, 1);
	count_unflushed(b);
	wait_wake(b);
	return true;
}

/* The clock: two rounds, the first of which may only take reference bits away. */
struct bufio_buffer *cache_evict(struct bufio_client *c)
{
	for (uint64_t n = 2 * (uint64_t)c->nr_buffers; n > 0; n--) {
		uint32_t i = atomic_fetch_add_explicit(&c->hand, 1, memory_order_relaxed);
		struct bufio_buffer *b = &c->buffers[i % c->nr_buffers];
		uint64_t block = atomic_load(&b->block);
		uint64_t s = atomic_load(&b->state);

		if (!(s & ST_VALID) || (s & ST_BUSY))
			continue;
		if (s & ST_REF) {
			atomic_fetch_and(&b->state, ~ST_REF);
			continue;
		}
		if (cache_drop(b, block, 0)) {
			atomic_fetch_add(&c->stats.evictions, 1);
			return b;
		}
	}
	return NULL;
}

static struct bufio_buffer *try_alloc(struct bufio_client *c)
{
	struct bufio_buffer *b = pool_get(c, POOL_REST);

	if (!b)
		b = cache_evict(c);
	return b ? b : pool_get(c, POOL_LIMIT);
}

/* Returns 0 and a buffer the caller owns, or -EAGAIN without wait. */
int cache_alloc(struct bufio_client *c, bool wait, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b = try_alloc(c);
	uint64_t seq;

	if (!b && !wait)
		return -EAGAIN;
	if (!b) {
		atomic_fetch_add(&c->stats.waits, 1);
		atomic_fetch_add(&c->free_waiters, 1);
		for (;;) {
			seq = atomic_load(&c->free_seq);
			b = try_alloc(c);
			if (b)
				break;
			background_kick(c, BACKGROUND_ALL);
			wait_free_event(c, seq);
		}
		atomic_fetch_sub(&c->free_waiters, 1);
	}
	if (c->aux_stride)
		memset(c->aux + b->index * c->aux_stride, 0, c->aux_stride);
	atomic_store(&b->error, 0);
	*ret_buffer = b;
	return 0;
}

/* A buffer whose read failed belongs to nobody's block; its last holder frees it. */
static void release_failed(struct bufio_buffer *b)
{
	uint64_t s = atomic_fetch_sub(&b->state, ST_HOLD);

	if ((s & ST_HOLDS) == ST_HOLD) {
		atomic_store(&b->state, 0);
		pool_put(b);
	}
}

void cache_release(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;
	uint64_t block = atomic_load_explicit(&b->block, memory_order_relaxed);
	uint64_t s = atomic_load_explicit(&b->state, memory_order_relaxed);

	for (;;) {
		if (s & ST_FAILED) {
			release_failed(b);
			return;
		}
		if ((s & ST_NEW) && (s & ST_HOLDS) == ST_HOLD && !(s & ST_BUSY & ~ST_HOLDS)) {
			if ((s & ST_HOLDS) == ST_HOLD &&
			    atomic_compare_exchange_strong(&b->state, &s,
							   (s - ST_HOLD) & ~ST_REF)) {
				if (cache_drop(b, block, 0))
					pool_put(b);
				wait_free_wake(c);
				return;
			}
			continue;
		}
		if (atomic_compare_exchange_weak(&b->state, &s, s - ST_HOLD))
			break;
	}
	if (s & ST_MOVE)
		wait_wake(b);
	if ((s & ST_HOLDS) == ST_HOLD && atomic_load(&c->free_waiters))
		wait_free_wake(c);
}

/* The end of a read: publish the contents, or take the block out of the index. */
void cache_read_done(struct bufio_buffer *b, int r)
{
	uint64_t block = atomic_load(&b->block);
	pthread_mutex_t *lock = shard_lock(b->client, block);
	uint64_t s;

	if (r == 0) {
		atomic_fetch_and(&b->state, ~ST_READING);
		wait_wake(b);
		return;
	}
	atomic_fetch_add(&b->client->stats.read_errors, 1);
	atomic_store(&b->error, r);
	pthread_mutex_lock(lock);
	s = atomic_load(&b->state);
	while (!atomic_compare_exchange_weak(&b->state, &s, (s & ST_HOLDS) | ST_FAILED))
		;
	unlink_locked(b, block);
	pthread_mutex_unlock(lock);
	wait_wake(b);
}

void cache_mark_dirty(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;
	uint64_t bit = UINT64_C(1) << (b->index % 64);
	uint64_t s = atomic_load(&b->state);

	while (!atomic_compare_exchange_weak(&b->state, &s, (s | ST_DIRTY) & ~ST_NEW))
		;
	if (!(atomic_load(&c->dirty_map[b->index / 64]) & bit))
		atomic_fetch_or(&c->dirty_map[b->index / 64], bit);
	if (s & ST_DIRTY)
		return;
	atomic_store(&b->dirty_ms, background_now_ms());
	s = atomic_fetch_add(&c->nr_dirty, 1) + 1;
	if (s == 1 || s == (uint64_t)c->nr_cache * c->options.dirty_background_percent / 100 + 1)
		background_kick(c, BACKGROUND_LOOK);
}
