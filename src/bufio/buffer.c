/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls on a buffer that is held: release, dirty, pin, and what it is. */
#include "client.h"
#include <errno.h>

void bufio_release(struct bufio_buffer *b)
{
	cache_release(b);
}

void bufio_mark_dirty(struct bufio_buffer *b)
{
	dirty_mark(b);
}

int bufio_mark_partial_dirty(struct bufio_buffer *b, size_t start, size_t end)
{
	if (start >= end || end > b->client->options.block_bytes)
		return -EINVAL;
	dirty_mark_range(b, start, end);
	return 0;
}

/* Must the first pin let a waiting flush go first?  It waits for nothing but the device then. */
static bool is_flush_first(const struct bufio_client *c, uint64_t s)
{
	if (c->options.stable_writes || !(s & ST_FLUSHWAIT))
		return false;
	return (s & ST_DIRTY) && !(s & ST_PINS);
}

void bufio_pin(struct bufio_buffer *b)
{
	uint64_t s = atomic_load(&b->state), n;

	for (;;) {
		if ((s & ST_WRITING) || is_flush_first(b->client, s)) {
			s = wait_while(b, s & (ST_WRITING | ST_FLUSHWAIT));
			continue;
		}
		n = s + ST_PIN;
		if (!(s & ST_DIRTY))
			n &= ~ST_FLUSHWAIT;
		if (atomic_compare_exchange_weak(&b->state, &s, n))
			return;
	}
}

void bufio_unpin(struct bufio_buffer *b, bool dirty)
{
	uint64_t block = atomic_load(&b->block), s;
	struct bufio_client *c = b->client;

	if (dirty)
		dirty_mark(b);
	s = atomic_fetch_sub(&b->state, ST_PIN);
	if ((s & ST_PINS) != ST_PIN)
		return;
	wait_wake(b);
	if ((s & ST_NEW) && cache_drop(b, block, 0))
		pool_put(b);
	wait_free_wake(c);
}

void *bufio_data(const struct bufio_buffer *b)
{
	return b->data;
}

void *bufio_aux(const struct bufio_buffer *b)
{
	return b->client->aux + b->index * b->client->aux_stride;
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
