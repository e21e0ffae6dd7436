/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index from blocks to buffers, holds, and eviction.  No I/O, no callbacks.
 *
 * 1. A chain is walked without a lock.  What was found is believed only after a hold was taken
 *    on a VALID buffer (which then can neither be evicted nor change its block) and the block
 *    was compared again.
 * 2. That nothing was found is believed only if the shard's seq was even and did not change
 *    meanwhile; all that is doubtful is looked up again under the shard's mutex.
 * 3. A hit writes nothing that another thread writes, but for the first one since the clock's hand
 *    passed.  How a hold is counted, and found by one who takes a buffer away, is in hold.c.
 */
#include "client.h"

#define MAX_STEPS 64 /* a walker may be led into other chains; it gives up, not on for ever */

static uint64_t bucket_of(const struct bufio_client *c, uint64_t block)
{
	uint64_t x = (block >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	/* Runs of 16 blocks share a shard and the cache line of their buckets. */
	return (((x >> 32) << 4) | (block & 15)) & c->bucket_mask;
}

static struct shard *shard_of(struct bufio_client *c, uint64_t block)
{
	return &c->shards[(bucket_of(c, block) >> 4) % NR_SHARDS];
}

static void chain_begin_locked(struct shard *shard)
{
	atomic_fetch_add(&shard->seq, 1);
}

static void chain_end_locked(struct shard *shard)
{
	atomic_fetch_add(&shard->seq, 1);
}

static void unlink_locked(struct bufio_buffer *b, uint64_t block)
{
	struct bufio_client *c = b->client;
	_Atomic uint32_t *link = &c->buckets[bucket_of(c, block)];
	struct shard *shard = shard_of(c, block);

	chain_begin_locked(shard);
	while (atomic_load(link) != b->index + 1)
		link = &c->buffers[atomic_load(link) - 1].next;
	atomic_store(link, atomic_load(&b->next));
	chain_end_locked(shard);
}

/* May b leave, as far as its state says? */
static bool may_leave(const struct bufio_buffer *b, uint64_t block, uint64_t s, uint64_t allowed)
{
	return (s & ST_VALID) && !(s & ST_BUSY & ~allowed) && atomic_load(&b->block) == block;
}

/* b was taken off the index in state s. */
static void left(struct bufio_buffer *b, uint64_t s)
{
	struct bufio_client *c = b->client;

	if (s & ST_DIRTY)
		atomic_fetch_sub(&c->nr_dirty, 1);
	if (s & ST_DOUBT)
		atomic_fetch_sub(&c->nr_doubt, 1);
	wait_wake(b);
}

/* The rest of taking b away, after REF was cleared and the barrier was passed. */
static bool leave_locked(struct bufio_buffer *b, uint64_t block, uint64_t allowed, int64_t nr_holds)
{
	struct bufio_client *c = b->client;
	struct shard *shard = shard_of(c, block);
	uint64_t s;
	bool done = false;

	pthread_mutex_lock(&shard->lock);
	s = atomic_load(&b->state);
	while (!done && may_leave(b, block, s, allowed) && !(s & ST_REF) &&
	       hold_count(b) == nr_holds)
		done = atomic_compare_exchange_weak(&b->state, &s, 0);
	if (done) {
		unlink_locked(b, block);
		dirty_evicted(b, allowed & ST_DIRTY ? EVICT_THROWN_AWAY : EVICT_WRITTEN);
	}
	pthread_mutex_unlock(&shard->lock);
	if (done)
		left(b, s);
	return done;
}

static bool leave(struct bufio_buffer *b, uint64_t block, uint64_t allowed, int64_t nr_holds)
{
	struct bufio_client *c = b->client;
	bool done;

	if (!may_leave(b, block, atomic_load(&b->state), allowed))
		return false;
	pthread_mutex_lock(&c->leave_lock);
	atomic_fetch_and(&b->state, ~ST_REF);
	done = hold_barrier(c) && leave_locked(b, block, allowed, nr_holds);
	pthread_mutex_unlock(&c->leave_lock);
	return done;
}

/*
 * Take b off the index if it is still block's, not held, and busy with nothing but what allowed
 * names.  The caller owns it then.
 */
bool cache_drop(struct bufio_buffer *b, uint64_t block, uint64_t allowed)
{
	return leave(b, block, allowed, 0);
}

/*
 * The same for n of them, which share a barrier.  Returns how many left; they are the caller's and
 * stand at the front of the list.
 */
unsigned cache_drop_together(struct bufio_client *c, struct leaver *list, unsigned n,
			     uint64_t allowed)
{
	unsigned nr_left = 0;

	pthread_mutex_lock(&c->leave_lock);
	for (unsigned i = 0; i < n; i++)
		atomic_fetch_and(&list[i].buffer->state, ~ST_REF);
	if (!hold_barrier(c))
		n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct leaver l = list[i];

		if (!leave_locked(l.buffer, l.block, allowed, 0))
			continue;
		list[i] = list[nr_left];
		list[nr_left++] = l;
	}
	pthread_mutex_unlock(&c->leave_lock);
	return nr_left;
}

/* The same for one that only the caller holds; his hold is gone then. */
bool cache_drop_held(struct bufio_buffer *b, uint64_t block)
{
	if (!leave(b, block, 0, 1))
		return false;
	hold_add(hold_mine(b->client), b->index, -1);
	return true;
}

/* A buffer whose read failed belongs to nobody's block; the last to leave frees it. */
static void free_failed(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;
	bool done = false;

	pthread_mutex_lock(&c->leave_lock);
	if ((atomic_load(&b->state) & ST_FAILED) && hold_barrier(c) && hold_count(b) == 0) {
		atomic_store(&b->state, 0);
		done = true;
	}
	pthread_mutex_unlock(&c->leave_lock);
	if (done)
		pool_put(b);
}

/* A hold was given back of a buffer whose state is not just any, or while others wait for one. */
static void released(struct bufio_buffer *b, uint64_t block, uint64_t s)
{
	struct bufio_client *c = b->client;

	if (s & ST_FAILED)
		free_failed(b);
	if (s & (ST_MOVE | ST_FLUSHWAIT))
		wait_wake(b);
	/* Nobody filled it: the block goes with the last hold. */
	if ((s & ST_NEW) && cache_drop(b, block, 0))
		pool_put(b);
	else
		wait_free_wake(c);
}

void cache_release(struct bufio_buffer *b)
{
	const uint64_t matters = ST_FAILED | ST_MOVE | ST_FLUSHWAIT | ST_NEW;
	struct bufio_client *c = b->client;
	uint64_t block = atomic_load_explicit(&b->block, memory_order_relaxed), s;

	hold_add(hold_mine(c), b->index, -1);
	/* It may be another block's by now; then what is done about it does no harm. */
	s = atomic_load(&b->state);
	if ((s & matters) || atomic_load(&c->free_waiters))
		released(b, block, s);
}

/* With stable_writes a buffer is written only while nobody holds it: no first hold then. */
static bool is_hold_kept_away(const struct bufio_buffer *b, uint64_t s)
{
	if (!(s & b->client->no_hold) || (s & ST_PINS))
		return false;
	/* Our own one is counted already. */
	return (s & ST_WRITING) || ((s & ST_DIRTY) && hold_count(b) <= 1);
}

/* Returns false if the buffer may not be held now; the hold is counted anyway. */
static bool try_hold(struct holder *h, struct bufio_buffer *b, uint32_t index)
{
	uint64_t s;

	hold_add(h, index, 1);
	s = atomic_load(&b->state);
	while ((s & ST_VALID) && !is_hold_kept_away(b, s))
		if ((s & ST_REF) || atomic_compare_exchange_weak(&b->state, &s, s | ST_REF))
			return true;
	return false;
}

/* A hold on the block's buffer, if that can be had without a lock. */
struct bufio_buffer *cache_find_fast(struct bufio_client *c, struct holder *h, uint64_t block)
{
	uint32_t i = atomic_load_explicit(&c->buckets[bucket_of(c, block)], memory_order_acquire);

	for (unsigned step = 0; i && step < MAX_STEPS; step++) {
		struct bufio_buffer *b = &c->buffers[i - 1];

		if (atomic_load_explicit(&b->block, memory_order_relaxed) == block) {
			if (try_hold(h, b, i - 1) &&
			    atomic_load_explicit(&b->block, memory_order_relaxed) == block)
				return b;
			cache_release(b);
			return NULL;
		}
		i = atomic_load_explicit(&b->next, memory_order_acquire);
	}
	return NULL;
}

/* Is it sure that the block has no buffer?  That of a moment within the call. */
bool cache_is_absent(struct bufio_client *c, uint64_t block)
{
	struct shard *shard = shard_of(c, block);
	uint32_t seq = atomic_load(&shard->seq);
	uint32_t i = atomic_load(&c->buckets[bucket_of(c, block)]);

	if (seq & 1)
		return false;
	for (unsigned step = 0; i && step < MAX_STEPS; step++) {
		if (atomic_load(&c->buffers[i - 1].block) == block)
			return false;
		i = atomic_load(&c->buffers[i - 1].next);
	}
	return !i && atomic_load(&shard->seq) == seq;
}

/* Returns the held buffer, or NULL; *ret_busy then is the buffer that may not be held now. */
static struct bufio_buffer *find_locked(struct bufio_client *c, uint64_t block,
					struct bufio_buffer **ret_busy)
{
	uint32_t i = atomic_load(&c->buckets[bucket_of(c, block)]);
	struct holder *h = hold_mine(c);

	*ret_busy = NULL;
	while (i) {
		struct bufio_buffer *b = &c->buffers[i - 1];

		if (atomic_load(&b->block) == block) {
			if (try_hold(h, b, i - 1))
				return b;
			/* Kept away: then it is dirty or being written, and does not leave. */
			hold_add(h, b->index, -1);
			wait_wake(b);
			*ret_busy = b;
			return NULL;
		}
		i = atomic_load(&b->next);
	}
	return NULL;
}

/*
 * A hold on the block's buffer, or NULL: then it has none, or *ret_busy, which a stable write keeps
 * from being held.
 */
struct bufio_buffer *cache_look(struct bufio_client *c, uint64_t block,
				struct bufio_buffer **ret_busy)
{
	struct shard *shard = shard_of(c, block);
	struct bufio_buffer *b = cache_find_fast(c, hold_mine(c), block);

	*ret_busy = NULL;
	if (b || cache_is_absent(c, block))
		return b;
	pthread_mutex_lock(&shard->lock);
	b = find_locked(c, block, ret_busy);
	pthread_mutex_unlock(&shard->lock);
	return b;
}

/* A hold on the block's buffer, or NULL if it has none.  May wait for a stable write. */
struct bufio_buffer *cache_find(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b, *busy;

	while (!(b = cache_look(c, block, &busy)) && busy)
		wait_while(busy, c->no_hold);
	return b;
}

/* The block's buffer, without a hold: it may be another's when the caller looks at it. */
struct bufio_buffer *cache_glance(struct bufio_client *c, uint64_t block)
{
	struct shard *shard = shard_of(c, block);
	struct bufio_buffer *b = NULL;
	uint32_t i;

	if (cache_is_absent(c, block))
		return NULL;
	pthread_mutex_lock(&shard->lock);
	for (i = atomic_load(&c->buckets[bucket_of(c, block)]); i && !b;
	     i = atomic_load(&c->buffers[i - 1].next))
		if (atomic_load(&c->buffers[i - 1].block) == block)
			b = &c->buffers[i - 1];
	pthread_mutex_unlock(&shard->lock);
	return b;
}

/* As held by the caller, if he is to hold it. */
static void link_locked(struct bufio_buffer *b, uint64_t block, uint64_t state,
			enum cache_hold hold)
{
	struct bufio_client *c = b->client;
	_Atomic uint32_t *bucket = &c->buckets[bucket_of(c, block)];

	if (hold == CACHE_HOLD)
		hold_add(hold_mine(c), b->index, 1);
	atomic_store(&b->block, block);
	atomic_store(&b->next, atomic_load(bucket));
	atomic_store(&b->state, state | ST_VALID);
	atomic_store(bucket, b->index + 1);
}

/*
 * Put b, which the caller owns, into the index.  Returns b, held if hold says so, or another
 * buffer of the block, held, that was there; then b is still the caller's.  NULL: not now, a write past the
 * buffers or a stable write is in the way; see fence_wait() and cache_find().
 */
struct bufio_buffer *cache_insert(struct bufio_buffer *b, uint64_t block, uint64_t state,
				  enum cache_hold hold)
{
	struct bufio_client *c = b->client;
	struct shard *shard = shard_of(c, block);
	struct bufio_buffer *other, *busy;

	pthread_mutex_lock(&shard->lock);
	other = find_locked(c, block, &busy);
	if (!other && !busy) {
		/* An odd seq, then the look at the fences: see extent.c. */
		chain_begin_locked(shard);
		if (!fence_covers(c, block)) {
			link_locked(b, block, state, hold);
			other = b;
		}
		chain_end_locked(shard);
	}
	pthread_mutex_unlock(&shard->lock);
	return other;
}

/*
 * The same for a block that a fence of the caller's keeps all others from entering; held, and nobody else sees it
 * before the call returns.
 */
void cache_insert_behind(struct bufio_buffer *b, uint64_t block)
{
	struct shard *shard = shard_of(b->client, block);

	pthread_mutex_lock(&shard->lock);
	chain_begin_locked(shard);
	link_locked(b, block, 0, CACHE_HOLD);
	chain_end_locked(shard);
	pthread_mutex_unlock(&shard->lock);
}

/* Some that may leave: clean, not held, and not hit since the hand last passed. */
static unsigned find_leavers_locked(struct bufio_client *c, struct bufio_buffer **list,
				    unsigned most, uint64_t *steps)
{
	uint32_t nr = atomic_load(&c->nr_touched);
	unsigned n = 0;

	for (; *steps > 0 && n < most; --*steps) {
		struct bufio_buffer *b = &c->buffers[c->hand++ % nr];
		uint64_t s = atomic_load(&b->state);

		if (!(s & ST_VALID) || (s & ST_BUSY))
			continue;
		if (s & ST_REF)
			atomic_fetch_and(&b->state, ~ST_REF);
		else if (hold_count(b) == 0)
			list[n++] = b;
	}
	return n;
}

/* Returns the first of those that left; the others are free. */
static struct bufio_buffer *leave_together_locked(struct bufio_client *c,
						  struct bufio_buffer **list, unsigned n)
{
	struct bufio_buffer *first = NULL;

	if (!hold_barrier(c))
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		if (!leave_locked(list[i], atomic_load(&list[i]->block), 0, 0))
			continue;
		atomic_fetch_add(&c->stats.evictions, 1);
		if (first)
			pool_put(list[i]);
		else
			first = list[i];
	}
	return first;
}

/* The clock: two rounds, the first of which may only take reference bits away. */
struct bufio_buffer *cache_evict(struct bufio_client *c)
{
	uint64_t steps = 2 * (uint64_t)atomic_load(&c->nr_touched);
	unsigned n, most = atomic_load(&c->nr_cache) / 64;
	struct bufio_buffer *list[MOST_LEAVING], *b = NULL;

	most = most < 1 ? 1 : most > MOST_LEAVING ? MOST_LEAVING : most;
	pthread_mutex_lock(&c->leave_lock);
	while (!b && (n = find_leavers_locked(c, list, most, &steps)) > 0)
		b = leave_together_locked(c, list, n);
	pthread_mutex_unlock(&c->leave_lock);
	return b;
}

/*
 * The flush that was to make b's last write durable failed: what is in flushing_map becomes
 * dirty again.  Under the shard's lock b cannot leave between the look and the mark.
 */
void cache_redirty(struct bufio_client *c, uint32_t index)
{
	struct bufio_buffer *b = &c->buffers[index];
	uint64_t bit = UINT64_C(1) << (index % 64), block, s;
	struct shard *shard;

	for (;;) {
		block = atomic_load(&b->block);
		shard = shard_of(c, block);
		pthread_mutex_lock(&shard->lock);
		if (atomic_load(&b->block) == block)
			break;
		pthread_mutex_unlock(&shard->lock);
	}
	pthread_mutex_lock(&c->written_lock);
	s = atomic_fetch_and(&c->flushing_map[index / 64], ~bit);
	pthread_mutex_unlock(&c->written_lock);
	if (s & bit)
		dirty_mark_in_doubt(b);
	pthread_mutex_unlock(&shard->lock);
}

/* The end of a read: publish the contents, or take the block out of the index. */
void cache_read_done(struct bufio_buffer *b, int r)
{
	struct bufio_client *c = b->client;
	uint64_t block = atomic_load(&b->block);
	struct shard *shard = shard_of(c, block);

	if (r == 0) {
		atomic_fetch_and(&b->state, ~ST_READING);
		wait_wake(b);
		return;
	}
	pthread_mutex_lock(&shard->lock);
	atomic_store(&b->error, r);
	atomic_store(&b->state, ST_FAILED);
	unlink_locked(b, block);
	pthread_mutex_unlock(&shard->lock);
	wait_wake(b);
	free_failed(b);
}
