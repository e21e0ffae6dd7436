/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moving the contents of a block to another one.
 *
 * 1. All that can fail comes first, while the source is still held: a copy, and a hold on the
 *    target.  Then the source is given back, and only then is anything waited for: that nobody
 *    but movers has the target.  So crossed moves pass each other.
 * 2. If no buffer is free for the target, the source's own becomes it, so that a move needs no
 *    more than the hold that its caller has.
 * 3. READING makes everybody wait for the copy; movers to one target go one after the other.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void move_begin(struct bufio_client *c, struct move *m)
{
	pthread_mutex_lock(&c->move_lock);
	m->next = c->moves;
	c->moves = m;
	atomic_fetch_or(&m->target->state, ST_MOVE);
	pthread_mutex_unlock(&c->move_lock);
}

static int64_t nr_movers_locked(const struct bufio_client *c, const struct bufio_buffer *target)
{
	int64_t n = 0;

	for (const struct move *m = c->moves; m; m = m->next)
		n += m->target == target;
	return n;
}

static int64_t nr_movers(struct bufio_client *c, const struct bufio_buffer *target)
{
	int64_t n;

	pthread_mutex_lock(&c->move_lock);
	n = nr_movers_locked(c, target);
	pthread_mutex_unlock(&c->move_lock);
	return n;
}

static void move_end(struct bufio_client *c, struct move *m)
{
	struct move **link = &c->moves;

	pthread_mutex_lock(&c->move_lock);
	while (*link != m)
		link = &(*link)->next;
	*link = m->next;
	if (!nr_movers_locked(c, m->target))
		atomic_fetch_and(&m->target->state, ~ST_MOVE);
	pthread_mutex_unlock(&c->move_lock);
}

/*
 * READING, if nobody but movers has the target.  Rule 2 of hold.c: nobody can join the holders,
 * who are counted first.  Every mover is one of them, so if the movers, counted later, are as
 * many, they are all.  (The other way round one could leave and another thread come in between.)
 */
static bool try_close_door(struct bufio_client *c, struct bufio_buffer *target)
{
	const uint64_t others = ST_REF | ST_PINS | ST_WRITING | ST_READING;
	uint64_t s = atomic_fetch_and(&target->state, ~ST_REF) & ~ST_REF;
	int64_t nr_holds;

	if (!hold_barrier(c))
		return false;
	do {
		nr_holds = hold_count(target);
		if ((s & others) || nr_holds != nr_movers(c, target))
			return false;
	} while (!atomic_compare_exchange_weak(&target->state, &s, s | ST_READING));
	return true;
}

/* Wait until nobody but movers has it; from then on who takes a hold waits for us. */
static void close_door(struct bufio_client *c, struct bufio_buffer *target)
{
	uint64_t seq = wait_enter(target);
	bool closed;

	for (;;) {
		pthread_mutex_lock(&c->leave_lock);
		closed = try_close_door(c, target);
		pthread_mutex_unlock(&c->leave_lock);
		if (closed)
			break;
		seq = wait_sleep(target, seq);
	}
	wait_leave(target);
}

/* Give b back; what it has in memory was meant for another block, unless others use it here. */
static void leave_source(struct bufio_buffer *b, uint64_t block)
{
	if (cache_drop_held(b, block))
		pool_put(b);
	else
		cache_release(b);
}

static void replace(struct bufio_buffer *target, const void *data)
{
	struct bufio_client *c = target->client;
	struct move m = {.target = target};

	move_begin(c, &m);
	close_door(c, target);
	memcpy(target->data, data, c->options.block_bytes);
	dirty_mark(target);
	atomic_fetch_and(&target->state, ~ST_READING);
	wait_wake(target);
	move_end(c, &m);
	cache_release(target);
	wait_wake(target);
}

/* Make b, which is no other's and clean, the buffer of new_block.  Returns -EAGAIN if it is not. */
static int convert(struct bufio_buffer *b, uint64_t block, uint64_t new_block,
		   struct bufio_buffer **ret_target)
{
	struct bufio_client *c = b->client;
	struct bufio_buffer *target;

	if (!cache_drop_held(b, block))
		return -EAGAIN;
	memset(b->data, 0, c->options.block_bytes);
	do {
		/* b is nowhere else any more, so this waits on, whatever a write behind ran into */
		while (fence_wait(c, new_block))
			;
		target = cache_find(c, new_block);
		if (!target)
			target = cache_insert(b, new_block, ST_NEW, CACHE_HOLD);
	} while (!target || read_wait(target) != 0);
	if (target != b)
		pool_put(b);
	*ret_target = target;
	return 0;
}

/* Must b stay?  With stable_writes our own hold keeps what is dirty from being written. */
static bool is_shared(const struct bufio_buffer *b)
{
	uint64_t s = atomic_load(&b->state);

	return hold_count(b) != 1 || (s & ST_PINS) ||
	       ((s & ST_DIRTY) && b->client->options.stable_writes);
}

/*
 * Hold the target.  On success the source is given back, or *ret_left is false; on an error it
 * is as it was.
 */
static int take_target(struct bufio_buffer *b, uint64_t new_block, struct bufio_buffer **ret_target,
		       bool *ret_left)
{
	struct bufio_client *c = b->client;
	uint64_t block = bufio_block(b);
	int r, r_write;

	*ret_left = false;
	for (;;) {
		r = read_new(c, new_block, ALLOC_TRY, ret_target);
		if (r != -EAGAIN)
			return r;
		r_write = is_shared(b) ? 0 : bufio_write_unpinned(c, block, 1);
		if (!r_write && !convert(b, block, new_block, ret_target)) {
			*ret_left = true;
			return 0;
		}
		/* Who shares it with us may wait, too; then there are more buffers than holds. */
		if (r_write || is_shared(b)) {
			r = read_new(c, new_block, ALLOC_WAIT, ret_target);
			if (r != -EDEADLK || r_write || is_shared(b))
				return r == -EDEADLK && r_write ? r_write : r;
		}
	}
}

int bufio_release_move(struct bufio_buffer *b, uint64_t new_block)
{
	struct bufio_client *c = b->client;
	uint64_t block = bufio_block(b);
	struct bufio_buffer *target;
	bool left;
	void *copy;
	int r;

	if (new_block == block) {
		dirty_mark(b);
		cache_release(b);
		return 0;
	}
	if (new_block >= c->nr_blocks)
		return -ERANGE;
	copy = malloc(c->options.block_bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, b->data, c->options.block_bytes);
	r = take_target(b, new_block, &target, &left);
	if (!r) {
		if (!left)
			leave_source(b, block);
		replace(target, copy);
	}
	free(copy);
	return r;
}
