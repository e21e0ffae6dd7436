/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of bufio.h on single buffers and on the client.  No lock is held here across
 * a wait, a callback or a call of the engine.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *aux_of(const struct bufio_buffer *b)
{
	return b->client->aux + b->index * b->client->aux_stride;
}

static int read_block(struct bufio_buffer *b, uint64_t block)
{
	struct bufio_client *c = b->client;
	struct iovec iov = {b->data, c->options.block_bytes};
	struct bufio_io io = {
		.op = BUFIO_OP_READ,
		.offset_bytes = block << c->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = iov.iov_len,
	};
	int r = c->engine->ops->transfer(c->engine, &io);

	atomic_fetch_add(&c->stats.reads, 1);
	atomic_fetch_add(&c->stats.read_blocks, 1);
	if (r == 0 && c->callbacks.verify)
		r = c->callbacks.verify(c->options.callback_context, b);
	return r;
}

/* Wait for the read of a held buffer.  On an error the hold is gone. */
static int wait_read(struct bufio_buffer *b)
{
	uint64_t s = wait_while(b, ST_READING);
	int r = 0;

	if (s & ST_FAILED) {
		r = atomic_load(&b->error);
		cache_release(b);
	}
	return r;
}

/* Returns 1 if the block was in the cache, 0 if the buffer is the caller's to fill. */
static int miss(struct bufio_client *c, uint64_t block, uint64_t state, struct bufio_buffer **ret)
{
	struct bufio_buffer *b, *b1;
	int r = cache_alloc(c, true, &b);

	if (r)
		return r;
	if (state == ST_NEW)
		memset(b->data, 0, c->options.block_bytes);
	b1 = cache_insert(b, block, state);
	if (b1 != b)
		pool_put(b);
	*ret = b1;
	return b1 != b;
}

int bufio_read(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b;
	int r = 0;

	*ret_buffer = NULL;
	if (block >= c->nr_blocks)
		return -ERANGE;
	b = cache_find_fast(c, block);
	if (!b) {
		r = miss(c, block, ST_READING, &b);
		if (r < 0)
			return r;
		if (r == 0) {
			atomic_fetch_add(&c->stats.misses, 1);
			cache_read_done(b, read_block(b, block));
		}
	}
	r = wait_read(b);
	if (r)
		return r;
	atomic_store_explicit(&b->hits, atomic_load_explicit(&b->hits, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	*ret_buffer = b;
	return 0;
}

int bufio_new(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b;
	int r;

	*ret_buffer = NULL;
	if (block >= c->nr_blocks)
		return -ERANGE;
	do {
		b = cache_find_fast(c, block);
		if (!b) {
			r = miss(c, block, ST_NEW, &b);
			if (r < 0)
				return r;
		}
		/* Somebody's failed read is no concern of one who overwrites the block. */
	} while (wait_read(b) != 0);
	*ret_buffer = b;
	return 0;
}

int bufio_get(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b;
	uint64_t s;

	*ret_buffer = NULL;
	if (block >= c->nr_blocks)
		return -ERANGE;
	b = cache_find(c, block);
	if (!b)
		return -ENOENT;
	s = atomic_load(&b->state);
	if (s & (ST_READING | ST_FAILED)) {
		cache_release(b);
		return s & ST_FAILED ? -ENOENT : -EAGAIN;
	}
	*ret_buffer = b;
	return 0;
}

/* One prefetch on its way: the io, and the buffer held for it. */
struct prefetch {
	struct bufio_io io;
	struct iovec iov;
	struct bufio_buffer *b;
};

static void prefetch_begin(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	c->nr_prefetch++;
	pthread_mutex_unlock(&c->free_lock);
}

/* The last touch of the client: destroy waits for it. */
static void prefetch_end(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	if (--c->nr_prefetch == 0)
		pthread_cond_broadcast(&c->free_wake);
	pthread_mutex_unlock(&c->free_lock);
}

static void prefetch_done(struct bufio_io *io, int r)
{
	struct prefetch *p = io->context;
	struct bufio_client *c = p->b->client;

	if (r == 0 && c->callbacks.verify)
		r = c->callbacks.verify(c->options.callback_context, p->b);
	cache_read_done(p->b, r);
	cache_release(p->b);
	free(p);
	prefetch_end(c);
}

/* Returns false when no more can be started. */
static bool prefetch_block(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b = cache_find(c, block), *b1;
	struct prefetch *p;
	struct bufio_io *io;

	if (b) {
		cache_release(b);
		return true;
	}
	p = calloc(1, sizeof(*p));
	if (!p || cache_alloc(c, false, &b)) {
		free(p);
		return false;
	}
	b1 = cache_insert(b, block, ST_READING);
	if (b1 != b) {
		cache_release(b1);
		pool_put(b);
		free(p);
		return true;
	}
	p->b = b;
	p->iov = (struct iovec){b->data, c->options.block_bytes};
	p->io = (struct bufio_io){.op = BUFIO_OP_READ,
				  .offset_bytes = block << c->block_shift,
				  .iov = &p->iov,
				  .nr_iov = 1,
				  .size_bytes = c->options.block_bytes,
				  .done = prefetch_done,
				  .context = p};
	io = &p->io;
	atomic_fetch_add(&c->stats.reads, 1);
	atomic_fetch_add(&c->stats.read_blocks, 1);
	prefetch_begin(c);
	c->engine->ops->submit(c->engine, &io, 1);
	return true;
}

static bool is_range_bad(const struct bufio_client *c, uint64_t block, uint64_t nr)
{
	return block > c->nr_blocks || nr > c->nr_blocks - block;
}

int bufio_prefetch(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	if (is_range_bad(c, block, nr))
		return -ERANGE;
	for (uint64_t i = 0; i < nr && i < c->nr_cache && prefetch_block(c, block + i); i++)
		;
	return 0;
}

void bufio_release(struct bufio_buffer *b)
{
	cache_release(b);
}

void bufio_mark_dirty(struct bufio_buffer *b)
{
	cache_mark_dirty(b);
}

void bufio_pin(struct bufio_buffer *b)
{
	uint64_t s = atomic_load(&b->state);

	for (;;) {
		/* A flush that waited for the last pin comes first; see wait_entry(). */
		if ((s & ST_WRITING) || ((s & ST_FLUSHWAIT) && (s & ST_DIRTY) && !(s & ST_PINS)))
			s = wait_while(b, s & (ST_WRITING | ST_FLUSHWAIT));
		else if (atomic_compare_exchange_weak(&b->state, &s, (s + ST_PIN) & ~ST_FLUSHWAIT))
			return;
	}
}

void bufio_unpin(struct bufio_buffer *b, bool dirty)
{
	uint64_t block = atomic_load(&b->block);
	struct bufio_client *c = b->client;
	uint64_t s;

	if (dirty)
		cache_mark_dirty(b);
	s = atomic_fetch_sub(&b->state, ST_PIN);
	if ((s & ST_PINS) != ST_PIN)
		return;
	wait_wake(b);
	if ((s & ST_NEW) && !(s & ST_HOLDS) && cache_drop(b, block, 0))
		pool_put(b);
	wait_free_wake(c);
}

int bufio_write_dirty_buffers(struct bufio_client *c)
{
	struct write_scope scope = {.end = UINT64_MAX, .wait = WRITE_WAIT_ALL};
	int r = writeback_scope(c, &scope);
	int r1 = flush_device(c, FLUSH_IF_WRITTEN);

	return r ? r : r1;
}

void bufio_write_dirty_buffers_async(struct bufio_client *c)
{
	background_kick(c, BACKGROUND_ALL);
}

int bufio_write_range(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct write_scope scope = {.first = block, .end = block + nr, .wait = WRITE_WAIT_ALL};

	return is_range_bad(c, block, nr) ? -ERANGE : writeback_scope(c, &scope);
}

int bufio_write_unpinned(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct write_scope scope = {.first = block, .end = block + nr, .wait = WRITE_WAIT_UNPINNED};

	return is_range_bad(c, block, nr) ? -ERANGE : writeback_scope(c, &scope);
}

int bufio_flush_written(struct bufio_client *c)
{
	return flush_device(c, FLUSH_IF_WRITTEN);
}

int bufio_issue_flush(struct bufio_client *c)
{
	return flush_device(c, FLUSH_ALWAYS);
}

/* Hold the target alone.  Movers to one block go one after the other. */
static struct bufio_buffer *take_target(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b;

	for (;;) {
		if (bufio_new(c, block, &b))
			return NULL;
		uint64_t s = atomic_load(&b->state);

		while (!(s & ST_MOVE) && !atomic_compare_exchange_weak(&b->state, &s, s | ST_MOVE))
			;
		if (!(s & ST_MOVE))
			break;
		/* Waiting with a hold would keep the other mover waiting for us. */
		cache_release(b);
		wait_while(b, ST_MOVE);
	}
	wait_sole_holder(b);
	return b;
}

int bufio_release_move(struct bufio_buffer *b, uint64_t new_block)
{
	struct bufio_client *c = b->client;
	uint64_t block = bufio_block(b);
	struct bufio_buffer *target;
	void *copy;

	if (new_block >= c->nr_blocks)
		return -ERANGE;
	if (new_block == block) {
		cache_mark_dirty(b);
		cache_release(b);
		return 0;
	}
	/* With a copy nothing is held while waiting for the target, so crossed moves pass. */
	copy = malloc(c->options.block_bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, b->data, c->options.block_bytes);
	if (cache_drop(b, block, ST_HOLD)) {
		/* A sole holder's clean buffer: what it has in memory was meant for new_block. */
		pool_put(b);
	} else {
		cache_release(b);
	}
	target = take_target(c, new_block);
	bufio_pin(target);
	memcpy(target->data, copy, c->options.block_bytes);
	bufio_unpin(target, true);
	free(copy);
	atomic_fetch_and(&target->state, ~ST_MOVE);
	wait_wake(target);
	cache_release(target);
	return 0;
}

void bufio_forget(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b = cache_find(c, block);

	if (!b)
		return;
	cache_release(b);
	if (cache_drop(b, block, 0))
		pool_put(b);
}

/* Visit what is cached of a range, by whichever is shorter. */
static void each_cached(struct bufio_client *c, uint64_t block, uint64_t nr,
			void (*visit)(struct bufio_buffer *b, uint64_t block, void *context),
			void *context)
{
	for (uint32_t i = 0; i < c->nr_buffers; i++) {
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
		s = atomic_load(&b->state);
	} while (!(s & (ST_HOLDS | ST_PINS)));
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

static uint64_t count_state(const struct bufio_client *c, uint64_t mask)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < c->nr_buffers; i++)
		n += (atomic_load(&c->buffers[i].state) & mask) != 0;
	return n;
}

static void wait_prefetches(struct bufio_client *c)
{
	pthread_mutex_lock(&c->free_lock);
	while (c->nr_prefetch)
		pthread_cond_wait(&c->free_wake, &c->free_lock);
	pthread_mutex_unlock(&c->free_lock);
}

int bufio_drop_buffers(struct bufio_client *c)
{
	int r;

	wait_prefetches(c); /* whose holds are ours, not the caller's */
	if (count_state(c, ST_PINS))
		return -EBUSY;
	r = bufio_write_dirty_buffers(c);
	each_cached(c, 0, UINT64_MAX, visit_forget, NULL);
	if (r)
		return r;
	return count_state(c, ST_HOLDS) ? -EBUSY : 0;
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

int bufio_issue_discard(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	if (is_range_bad(c, block, nr))
		return -ERANGE;
	return nr ? c->engine->ops->discard(c->engine, block << c->block_shift,
					    nr << c->block_shift)
		  : 0;
}

void *bufio_data(const struct bufio_buffer *b)
{
	return b->data;
}

void *bufio_aux(const struct bufio_buffer *b)
{
	return aux_of(b);
}

uint64_t bufio_block(const struct bufio_buffer *b)
{
	return atomic_load_explicit(&b->block, memory_order_relaxed);
}

struct bufio_client *bufio_client_of(const struct bufio_buffer *b)
{
	return b->client;
}

unsigned bufio_block_bytes(const struct bufio_client *c)
{
	return c->options.block_bytes;
}

uint64_t bufio_nr_blocks(const struct bufio_client *c)
{
	return c->nr_blocks;
}

struct bufio_engine *bufio_engine_of(const struct bufio_client *c)
{
	return c->engine;
}

void bufio_get_stats(const struct bufio_client *c, struct bufio_stats *ret)
{
	const struct client_stats *s = &c->stats;
	uint64_t touched = 0;

	for (uint32_t i = 0; i < c->nr_buffers; i++)
		touched += atomic_load_explicit(&c->buffers[i].hits, memory_order_relaxed);
	*ret = (struct bufio_stats){
		.misses = s->misses,
		.hits = touched > s->misses ? touched - s->misses : 0,
		.reads = s->reads,
		.read_blocks = s->read_blocks,
		.writes = s->writes,
		.written_blocks = s->written_blocks,
		.read_errors = s->read_errors,
		.write_errors = s->write_errors,
		.flushes = s->flushes,
		.flush_errors = s->flush_errors,
		.evictions = s->evictions,
		.waits = s->waits,
		.nr_dirty = c->nr_dirty,
		.nr_held = count_state(c, ST_HOLDS),
	};
	pthread_mutex_lock((pthread_mutex_t *)&c->pool_lock);
	ret->nr_buffers = c->nr_used;
	ret->peak_buffers = c->peak_used;
	pthread_mutex_unlock((pthread_mutex_t *)&c->pool_lock);
}

void bufio_options_init(struct bufio_options *o)
{
	*o = (struct bufio_options){
		.block_bytes = 4096,
		.cache_bytes = 8 << 20,
		.limit_bytes = 9 << 20,
		.dirty_background_percent = 25,
		.dirty_age_ms = 5000,
		.max_io_bytes = 1 << 20,
	};
}

static bool are_options_good(const struct bufio_engine *e, const struct bufio_options *o)
{
	unsigned n = o->block_bytes;

	if (n < 512 || n > (1 << 20) || (n & (n - 1)) || n < e->sector_bytes)
		return false;
	if (o->limit_bytes / n < 2 || o->limit_bytes / n > UINT32_MAX / 4)
		return false;
	return o->cache_bytes <= o->limit_bytes && o->dirty_background_percent <= 100 &&
	       o->aux_bytes <= (1 << 20);
}

static void init_locks(struct bufio_client *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->dirty_lock, NULL);
	pthread_mutex_init(&c->pool_lock, NULL);
	pthread_mutex_init(&c->free_lock, NULL);
	pthread_cond_init(&c->free_wake, NULL);
	pthread_mutex_init(&c->flush_lock, NULL);
	pthread_cond_init(&c->flush_wake, NULL);
	pthread_mutex_init(&c->background_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->background_wake, &attr);
	pthread_condattr_destroy(&attr);
	for (unsigned i = 0; i < NR_SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	for (unsigned i = 0; i < NR_WAIT_SHARDS; i++) {
		pthread_mutex_init(&c->wait_shards[i].lock, NULL);
		pthread_cond_init(&c->wait_shards[i].wake, NULL);
	}
}

int bufio_create(struct bufio_engine *engine, const struct bufio_options *options,
		 struct bufio_client **ret_client)
{
	struct bufio_client *c;
	int r;

	if (!engine || !options || !are_options_good(engine, options))
		return -EINVAL;
	c = aligned_alloc(64, (sizeof(*c) + 63) & ~(size_t)63);
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->engine = engine;
	c->options = *options;
	if (options->callbacks)
		c->callbacks = *options->callbacks;
	c->block_shift = (unsigned)__builtin_ctz(options->block_bytes);
	c->nr_blocks = engine->size_bytes >> c->block_shift;
	c->nr_buffers = (uint32_t)(options->limit_bytes >> c->block_shift);
	c->nr_cache = (uint32_t)(options->cache_bytes >> c->block_shift);
	init_locks(c);
	r = pool_create(c);
	if (r)
		goto fail;
	r = background_start(c);
	if (r)
		goto fail_pool;
	*ret_client = c;
	return 0;
fail_pool:
	pool_destroy(c);
fail:
	free(c);
	return r;
}

int bufio_destroy(struct bufio_client *c)
{
	int r;

	if (!c)
		return 0;
	r = bufio_drop_buffers(c);
	if (r)
		return r;
	background_finish(c);
	pool_destroy(c);
	free(c);
	return 0;
}
