/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a client: descriptors, the arena of the blocks, and which of them are free.
 *
 * Each descriptor has its place in the arena for ever.  A free one is warm, or cold: its
 * memory was given back to the system, or it was never used.  nr_used counts those that are
 * not cold and never exceeds nr_limit, whatever the arena has room for.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *map_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap_memory(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

static size_t arena_bytes(const struct bufio_client *c)
{
	return (size_t)c->nr_buffers << c->block_shift;
}

static size_t bucket_bytes(const struct bufio_client *c)
{
	return (c->bucket_mask + 1) * sizeof(*c->buckets);
}

void pool_destroy(struct bufio_client *c)
{
	unmap_memory(c->arena, arena_bytes(c));
	unmap_memory(c->buffers, c->nr_buffers * sizeof(*c->buffers));
	unmap_memory(c->buckets, bucket_bytes(c));
	free(c->dirty_range);
	free(c->dirty_map);
	free(c->written_map);
	free(c->flushing_map);
	free(c->aux);
}

int pool_create(struct bufio_client *c)
{
	uint64_t nr_buckets = 64;

	while (nr_buckets < c->nr_buffers * UINT64_C(2))
		nr_buckets *= 2;
	c->bucket_mask = nr_buckets - 1;
	c->nr_words = (c->nr_buffers + 63) / 64;
	c->aux_stride = (c->options.aux_bytes + 7) & ~(size_t)7;
	/* Mapped: aligned to lines and pages, zero, and nothing is used before it is touched. */
	c->buffers = map_memory(c->nr_buffers * sizeof(*c->buffers));
	c->buckets = map_memory(bucket_bytes(c));
	c->arena = map_memory(arena_bytes(c));
	c->dirty_range = calloc(c->nr_buffers, sizeof(*c->dirty_range));
	c->dirty_map = calloc(c->nr_words, sizeof(*c->dirty_map));
	c->written_map = calloc(c->nr_words, sizeof(*c->written_map));
	c->flushing_map = calloc(c->nr_words, sizeof(*c->flushing_map));
	c->aux = calloc(c->nr_buffers, c->aux_stride ? c->aux_stride : 1);
	if (!c->buffers || !c->buckets || !c->arena || !c->dirty_range || !c->dirty_map ||
	    !c->written_map || !c->flushing_map || !c->aux) {
		pool_destroy(c);
		return -ENOMEM;
	}
	/* A child of fork() must not make the pages of a transfer in flight copy-on-write. */
	madvise(c->arena, arena_bytes(c), MADV_DONTFORK);
	return 0;
}

static struct bufio_buffer *pop_locked(struct bufio_client *c, uint32_t *list)
{
	struct bufio_buffer *b = &c->buffers[*list - 1];

	*list = atomic_load(&b->next);
	return b;
}

static void push_locked(struct bufio_client *c, uint32_t *list, struct bufio_buffer *b)
{
	atomic_store(&b->next, *list);
	*list = b->index + 1;
}

/* The first use of a descriptor.  nr_used < nr_buffers says that there is one. */
static struct bufio_buffer *touch_locked(struct bufio_client *c)
{
	uint32_t i = atomic_load(&c->nr_touched);
	struct bufio_buffer *b = &c->buffers[i];

	b->client = c;
	b->index = i;
	b->data = c->arena + ((size_t)i << c->block_shift);
	atomic_store(&c->nr_touched, i + 1);
	return b;
}

struct bufio_buffer *pool_get(struct bufio_client *c, enum pool_want want)
{
	uint32_t most = atomic_load(want == POOL_LIMIT ? &c->nr_limit : &c->nr_cache);
	struct bufio_buffer *b = NULL;

	pthread_mutex_lock(&c->pool_lock);
	if (c->free_warm && c->nr_used <= atomic_load(&c->nr_limit)) {
		b = pop_locked(c, &c->free_warm);
	} else if (c->nr_used < most) {
		b = c->free_cold ? pop_locked(c, &c->free_cold) : touch_locked(c);
		if (++c->nr_used > c->peak_used)
			c->peak_used = c->nr_used;
	}
	pthread_mutex_unlock(&c->pool_lock);
	return b;
}

void pool_put(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;

	pthread_mutex_lock(&c->pool_lock);
	push_locked(c, &c->free_warm, b);
	pthread_mutex_unlock(&c->pool_lock);
	wait_free_wake(c);
}

void pool_put_cold(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;

	if (c->options.block_bytes >= 4096)
		madvise(b->data, c->options.block_bytes, MADV_DONTNEED);
	pthread_mutex_lock(&c->pool_lock);
	push_locked(c, &c->free_cold, b);
	c->nr_used--;
	pthread_mutex_unlock(&c->pool_lock);
	wait_free_wake(c);
}

/* A free buffer that makes one more than the cache is to have at rest, or NULL. */
struct bufio_buffer *pool_get_excess(struct bufio_client *c)
{
	struct bufio_buffer *b = NULL;

	pthread_mutex_lock(&c->pool_lock);
	if (c->free_warm && c->nr_used > atomic_load(&c->nr_cache))
		b = pop_locked(c, &c->free_warm);
	pthread_mutex_unlock(&c->pool_lock);
	return b;
}

/* Is more in use than that? */
bool pool_is_over(struct bufio_client *c, uint32_t nr)
{
	bool over;

	pthread_mutex_lock(&c->pool_lock);
	over = c->nr_used > nr;
	pthread_mutex_unlock(&c->pool_lock);
	return over;
}

void pool_set_limits(struct bufio_client *c, uint32_t nr_cache, uint32_t nr_limit)
{
	pthread_mutex_lock(&c->pool_lock);
	atomic_store(&c->nr_cache, nr_cache);
	atomic_store(&c->nr_limit, nr_limit);
	pthread_mutex_unlock(&c->pool_lock);
}

/* One more free buffer whose memory is there, unless there are nr.  Returns whether there are. */
static int reserve_one(struct bufio_client *c, uint32_t nr)
{
	struct bufio_buffer *b = NULL;

	pthread_mutex_lock(&c->pool_lock);
	if (c->nr_used < nr) {
		b = c->free_cold ? pop_locked(c, &c->free_cold) : touch_locked(c);
		if (++c->nr_used > c->peak_used)
			c->peak_used = c->nr_used;
	}
	pthread_mutex_unlock(&c->pool_lock);
	if (!b)
		return 0;
	memset(b->data, 0, c->options.block_bytes);
	pool_put(b);
	return 1;
}

void pool_set_minimum(struct bufio_client *c, uint32_t nr)
{
	atomic_store(&c->nr_minimum, nr);
	while (reserve_one(c, nr))
		;
}
