/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, resizing and destroying a client. */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	if (o->limit_bytes / n < 1 || o->cache_bytes > o->limit_bytes)
		return false;
	if (o->limit_bytes / n > UINT32_MAX / 4 || o->resize_bytes / n > UINT32_MAX / 4)
		return false;
	return o->dirty_background_percent <= 100 && o->aux_bytes <= (1 << 20);
}

static void init_locks(struct bufio_client *c)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&c->spare_lock, NULL);
	pthread_mutex_init(&c->leave_lock, NULL);
	pthread_mutex_init(&c->holders_lock, NULL);
	pthread_mutex_init(&c->written_lock, NULL);
	pthread_mutex_init(&c->pool_lock, NULL);
	pthread_mutex_init(&c->behind_lock, NULL);
	pthread_mutex_init(&c->fence_lock, NULL);
	pthread_cond_init(&c->fence_wake, NULL);
	pthread_mutex_init(&c->move_lock, NULL);
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

static uint32_t to_buffers(const struct bufio_client *c, size_t bytes)
{
	return (uint32_t)(bytes >> c->block_shift);
}

static void init_client(struct bufio_client *c, struct bufio_engine *engine,
			const struct bufio_options *options)
{
	size_t most = options->limit_bytes;

	if (options->resize_bytes > most)
		most = options->resize_bytes;
	c->engine = engine;
	c->options = *options;
	if (options->callbacks)
		c->callbacks = *options->callbacks;
	c->block_shift = (unsigned)__builtin_ctz(options->block_bytes);
	c->nr_blocks = engine->size_bytes >> c->block_shift;
	c->nr_buffers = to_buffers(c, most);
	c->nr_limit = to_buffers(c, options->limit_bytes);
	c->nr_cache = to_buffers(c, options->cache_bytes);
	c->no_hold = options->stable_writes ? ST_WRITING | ST_FLUSHWAIT : 0;
	init_locks(c);
}

int bufio_create(struct bufio_engine *engine, const struct bufio_options *options,
		 struct bufio_client **ret_client)
{
	struct bufio_client *c;
	int r;

	if (!engine || !options || !are_options_good(engine, options))
		return -EINVAL;
	c = aligned_alloc(CACHE_LINE, (sizeof(*c) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	init_client(c, engine, options);
	r = pool_create(c);
	if (r)
		goto fail;
	r = hold_create(c);
	if (r)
		goto fail_pool;
	r = writeback_create(c);
	if (r)
		goto fail_hold;
	r = background_start(c);
	if (r)
		goto fail_writeback;
	*ret_client = c;
	return 0;
fail_writeback:
	writeback_destroy(c);
fail_hold:
	hold_destroy(c);
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
	writeback_destroy(c);
	hold_destroy(c);
	pool_destroy(c);
	free(c);
	return 0;
}

/* Down to the limit now; what is held goes when the background writer comes by. */
static int shrink(struct bufio_client *c)
{
	struct write_scope scope = {.end = UINT64_MAX, .wait = WRITE_WAIT_NOT};
	struct bufio_buffer *b;
	int r = 0;

	if (pool_is_over(c, atomic_load(&c->nr_limit)) && dirty_count(c))
		r = writeback_scope(c, &scope);
	while (pool_is_over(c, atomic_load(&c->nr_limit))) {
		b = pool_get_excess(c);
		if (!b)
			b = cache_evict(c);
		if (!b)
			return r ? r : -EBUSY;
		pool_put_cold(b);
	}
	wake_background(c, BACKGROUND_LOOK);
	return 0;
}

int bufio_resize(struct bufio_client *c, size_t cache_bytes, size_t limit_bytes)
{
	uint64_t limit = limit_bytes >> c->block_shift;

	if (limit < 1 || limit > c->nr_buffers || cache_bytes > limit_bytes ||
	    (cache_bytes >> c->block_shift) < atomic_load(&c->nr_minimum))
		return -EINVAL;
	pool_set_limits(c, to_buffers(c, cache_bytes), (uint32_t)limit);
	wait_free_wake(c);
	return shrink(c);
}

int bufio_set_minimum_buffers(struct bufio_client *c, uint64_t nr)
{
	if (nr > atomic_load(&c->nr_cache))
		return -EINVAL;
	pool_set_minimum(c, (uint32_t)nr);
	return 0;
}

void bufio_get_limits(const struct bufio_client *c, size_t *ret_cache_bytes,
		      size_t *ret_limit_bytes)
{
	*ret_cache_bytes = (size_t)atomic_load(&c->nr_cache) << c->block_shift;
	*ret_limit_bytes = (size_t)atomic_load(&c->nr_limit) << c->block_shift;
}
