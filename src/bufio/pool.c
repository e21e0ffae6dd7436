/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a client: descriptors, the arena of the blocks, and which of them are free.
 *
 * Each descriptor has its place in the arena for ever.  A free one is warm, or cold: its
 * memory was given back to the system.  nr_used counts those that are not cold.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *map_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* A child of fork() must not make the pages of a transfer in flight copy-on-write. */
	madvise(p, size, MADV_DONTFORK);
	return p;
}

static size_t arena_bytes(const struct bufio_client *c)
{
	return (size_t)c->nr_buffers << c->block_shift;
}

static void init_buffers(struct bufio_client *c)
{
	for (uint32_t i = c->nr_buffers; i-- > 0;) {
		struct bufio_buffer *b = &c->buffers[i];

		b->client = c;
		b->index = i;
		b->data = c->arena + ((size_t)i << c->block_shift);
		b->free_next = c->free_cold;
		c->free_cold = i + 1;
	}
}

void pool_destroy(struct bufio_client *c)
{
	if (c->arena)
		munmap(c->arena, arena_bytes(c) + (1 << 20));
	free(c->buffers);
	free(c->buckets);
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
	c->buffers = aligned_alloc(64, c->nr_buffers * sizeof(*c->buffers));
	c->buckets = calloc(nr_buckets, sizeof(*c->buckets));
	c->dirty_map = calloc(c->nr_words, 8);
	c->written_map = calloc(c->nr_words, 8);
	c->flushing_map = calloc(c->nr_words, 8);
	c->aux = calloc(c->nr_buffers, c->aux_stride ? c->aux_stride : 1);
	c->arena = map_memory(arena_bytes(c) + (1 << 20));
	if (!c->buffers || !c->buckets || !c->dirty_map || !c->written_map || !c->flushing_map ||
	    !c->aux || !c->arena) {
		pool_destroy(c);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->nr_buffers; i++)
		c->buffers[i] = (struct bufio_buffer){0};
	init_buffers(c);
	return 0;
}

static struct bufio_buffer *pop(struct bufio_client *c, uint32_t *list)
{
	struct bufio_buffer *b = &c->buffers[*list - 1];

	*list = b->free_next;
	return b;
}

struct bufio_buffer *pool_get(struct bufio_client *c, enum pool_want want)
{
	struct bufio_buffer *b = NULL;

	pthread_mutex_lock(&c->pool_lock);
	if (c->free_warm) {
		b = pop(c, &c->free_warm);
	} else if (c->free_cold && (want == POOL_LIMIT || c->nr_used < c->nr_cache)) {
		b = pop(c, &c->free_cold);
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
	b->free_next = c->free_warm;
	c->free_warm = b->index + 1;
	pthread_mutex_unlock(&c->pool_lock);
	wait_free_wake(c);
}

void pool_put_cold(struct bufio_buffer *b)
{
	struct bufio_client *c = b->client;

	if (c->options.block_bytes >= 4096)
		madvise(b->data, c->options.block_bytes, MADV_DONTNEED);
	pthread_mutex_lock(&c->pool_lock);
	b->free_next = c->free_cold;
	c->free_cold = b->index + 1;
	c->nr_used--;
	pthread_mutex_unlock(&c->pool_lock);
	wait_free_wake(c);
}

bool pool_is_over(struct bufio_client *c)
{
	bool over;

	pthread_mutex_lock(&c->pool_lock);
	over = c->nr_used > c->nr_cache;
	pthread_mutex_unlock(&c->pool_lock);
	return over;
}
