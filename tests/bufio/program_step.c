/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One instruction: the call, what it promises, and the oracle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

/* Changing contents while a write takes them is allowed, but is a race to a sanitizer. */
#if defined(__SANITIZE_THREAD__)
#define MAY_RACE false
#else
#define MAY_RACE true
#endif

bool step_is_faulty(const struct run *run)
{
	return run->p->engine == ON_FAULT;
}

/* 0, or the error of the device if it may have any. */
void step_expect(const struct run *run, int r, const char *what)
{
	if (r && !(r == -EIO && step_is_faulty(run)))
		program_fail("%s: %s", what, strerror(-r));
}

bool step_is_own(const struct thread *t, uint64_t block)
{
	return block >= FIRST_OWN + t->number * NR_OWN &&
	       block < FIRST_OWN + (t->number + 1) * NR_OWN;
}

/* Holds: one buffer per block. */

static void note_hold(struct run *run, uint64_t block, struct bufio_buffer *b)
{
	struct cell *cell = &run->cells[block];

	if (bufio_block(b) != block || bufio_client_of(b) != run->client)
		program_fail("asked for block %llu, got %llu", (unsigned long long)block,
			     (unsigned long long)bufio_block(b));
	pthread_mutex_lock(&cell->holders_lock);
	if (cell->nr_holders++ && cell->buffer != b)
		program_fail("two buffers for block %llu", (unsigned long long)block);
	cell->buffer = b;
	pthread_mutex_unlock(&cell->holders_lock);
}

/* Ahead of the release. */
static void note_release(struct run *run, uint64_t block)
{
	struct cell *cell = &run->cells[block];

	pthread_mutex_lock(&cell->holders_lock);
	cell->nr_holders--;
	pthread_mutex_unlock(&cell->holders_lock);
}

void step_check_contents(struct run *run, uint64_t block, const void *data, const char *where)
{
	struct cell *cell = &run->cells[block];

	pthread_rwlock_rdlock(&cell->lock);
	if (!content_is(run, data, cell->stamp, cell->home))
		program_fail("%s: block %llu has stamp %llu of %llu, should have %llu of %llu",
			     where, (unsigned long long)block,
			     (unsigned long long)((const uint64_t *)data)[0],
			     (unsigned long long)((const uint64_t *)data)[1],
			     (unsigned long long)cell->stamp, (unsigned long long)cell->home);
	pthread_rwlock_unlock(&cell->lock);
}

void step_change(struct run *run, struct bufio_buffer *b, uint64_t block, bool pin)
{
	struct cell *cell = &run->cells[block];
	uint64_t stamp = atomic_fetch_add(&run->last_stamp, 1) + 1;

	if (pin)
		bufio_pin(b);
	content_fill(run, bufio_data(b), stamp, block);
	if (pin)
		bufio_unpin(b, true);
	else
		bufio_mark_dirty(b);
	cell->stamp = stamp;
	cell->home = block;
}

/* The same, marked dirty in two ranges, which may overlap and together are all of it. */
static void change_in_ranges(struct run *run, struct bufio_buffer *b, uint64_t block, unsigned arg)
{
	struct cell *cell = &run->cells[block];
	uint64_t stamp = atomic_fetch_add(&run->last_stamp, 1) + 1;
	size_t end = run->p->block_bytes, from = end * (arg % 8) / 16,
	       to = end * (8 + arg / 8) / 16;

	bufio_pin(b);
	content_fill(run, bufio_data(b), stamp, block);
	if (bufio_mark_partial_dirty(b, from, end) || bufio_mark_partial_dirty(b, 0, to))
		program_fail("mark partial dirty");
	bufio_unpin(b, false);
	cell->stamp = stamp;
	cell->home = block;
}

static bool must_pin(const struct run *run, const struct instruction *i)
{
	return !MAY_RACE || run->p->engine == ON_RECORD || i->arg % 2;
}

/* Slots. */

static struct slot *slot_of(struct thread *t, const struct instruction *i)
{
	return &t->slots[i->slot % t->nr_slots];
}

static void check_slot(struct thread *t, const struct slot *s)
{
	if (bufio_block(s->b) != s->block || bufio_data(s->b) != s->data)
		program_fail("held buffer of block %llu moved", (unsigned long long)s->block);
	step_check_contents(t->run, s->block, s->data, "held");
}

static void put(struct thread *t, struct slot *s)
{
	if (!s->b)
		return;
	check_slot(t, s);
	note_release(t->run, s->block);
	bufio_release(s->b);
	s->b = NULL;
}

void step_put_all(struct thread *t)
{
	for (unsigned i = 0; i < t->nr_slots; i++)
		put(t, &t->slots[i]);
}

void step_verify(struct thread *t)
{
	for (unsigned i = 0; i < t->nr_slots; i++)
		if (t->slots[i].b)
			check_slot(t, &t->slots[i]);
}

static bool holds(const struct thread *t, uint64_t block)
{
	for (unsigned i = 0; i < t->nr_slots; i++)
		if (t->slots[i].b && t->slots[i].block == block)
			return true;
	return false;
}

static void fill_slot(struct thread *t, struct slot *s, uint64_t block, struct bufio_buffer *b)
{
	note_hold(t->run, block, b);
	*s = (struct slot){b, block, bufio_data(b)};
}

static void step_read(struct thread *t, const struct instruction *i)
{
	struct slot *s = slot_of(t, i);
	struct bufio_buffer *b;
	int r;

	put(t, s);
	r = bufio_read(t->run->client, i->block, &b);
	step_expect(t->run, r, "read");
	if (r) {
		if (b)
			program_fail("a failed read returned a buffer");
		return;
	}
	fill_slot(t, s, i->block, b);
	check_slot(t, s);
}

static void step_get(struct thread *t, const struct instruction *i)
{
	struct slot *s = slot_of(t, i);
	struct bufio_buffer *b;
	int r;

	put(t, s);
	r = bufio_get(t->run->client, i->block, &b);
	if (r == -ENOENT && holds(t, i->block))
		program_fail("get does not find held block %u", i->block);
	if (r && r != -ENOENT && r != -EAGAIN)
		program_fail("get: %s", strerror(-r));
	if (r)
		return;
	fill_slot(t, s, i->block, b);
	check_slot(t, s);
}

static void step_new(struct thread *t, const struct instruction *i)
{
	struct cell *cell = &t->run->cells[i->block];
	struct slot *s = slot_of(t, i);
	struct bufio_buffer *b;
	int r;

	put(t, s);
	pthread_rwlock_wrlock(&cell->lock);
	r = bufio_new(t->run->client, i->block, &b);
	/* what was written behind there may have failed, and have found no room yet */
	if (r == -EIO && step_is_faulty(t->run) && i->block >= FIRST_EXTENT) {
		pthread_rwlock_unlock(&cell->lock);
		return;
	}
	if (r)
		program_fail("new: %s", strerror(-r));
	step_change(t->run, b, i->block, must_pin(t->run, i));
	pthread_rwlock_unlock(&cell->lock);
	fill_slot(t, s, i->block, b);
}

/* What nobody dirtied is never cached. */
static void step_leave(struct thread *t, const struct instruction *i)
{
	const struct cell *cell = &t->run->cells[i->block];
	struct bufio_buffer *b;
	int r;

	step_put_all(t);
	r = bufio_new(t->run->client, i->block, &b);
	if (r)
		program_fail("new: %s", strerror(-r));
	if (!content_is(t->run, bufio_data(b), 0, 0) &&
	    !content_is(t->run, bufio_data(b), cell->stamp, cell->home))
		program_fail("new block %u has another's contents", i->block);
	bufio_release(b);
	r = bufio_read(t->run->client, i->block, &b);
	step_expect(t->run, r, "read");
	if (r)
		return;
	step_check_contents(t->run, i->block, bufio_data(b), "after an undirtied new");
	bufio_release(b);
}

static void step_dirty(struct thread *t, const struct instruction *i)
{
	struct slot *s = slot_of(t, i);

	if (!s->b)
		return;
	pthread_rwlock_wrlock(&t->run->cells[s->block].lock);
	step_change(t->run, s->b, s->block, must_pin(t->run, i));
	pthread_rwlock_unlock(&t->run->cells[s->block].lock);
}

static void step_partial(struct thread *t, const struct instruction *i)
{
	struct slot *s = slot_of(t, i);

	if (!s->b)
		return;
	pthread_rwlock_wrlock(&t->run->cells[s->block].lock);
	change_in_ranges(t->run, s->b, s->block, i->arg);
	pthread_rwlock_unlock(&t->run->cells[s->block].lock);
}

/* Flushes. */

static void peek(struct run *run, uint64_t block, void *data)
{
	if (bufio_engine_mem_peek(run->mem, block * run->p->block_bytes, data, run->p->block_bytes))
		program_fail("peek");
}

/* Is what was there before the call on the device? */
static void check_written(struct run *run, uint64_t block, uint64_t before)
{
	struct cell *cell = &run->cells[block];
	uint64_t *data = malloc(run->p->block_bytes);
	bool good;

	pthread_rwlock_rdlock(&cell->lock);
	peek(run, block, data);
	if (cell->stamp == before)
		good = content_is(run, data, before, cell->home);
	else
		good = data[0] >= before;
	if (!good)
		program_fail("block %llu has stamp %llu on the device, flushed was %llu",
			     (unsigned long long)block, (unsigned long long)data[0],
			     (unsigned long long)before);
	pthread_rwlock_unlock(&cell->lock);
	free(data);
}

static void note_stamps(struct run *run, uint64_t *stamp)
{
	for (unsigned i = 0; i < NR_SHARED; i++) {
		pthread_rwlock_rdlock(&run->cells[i].lock);
		stamp[i] = run->cells[i].stamp;
		pthread_rwlock_unlock(&run->cells[i].lock);
	}
}

static void note_promise(struct run *run, const struct promise *promise)
{
	unsigned n = atomic_fetch_add(&run->nr_promises, 1);

	if (n >= MOST_PROMISES)
		program_fail("more flushes than there is room for");
	run->promises[n] = *promise;
	if (bufio_engine_record_mark(run->record, n + 1))
		program_fail("mark");
}

static void step_flush(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	struct promise before;
	int r;

	note_stamps(run, before.stamp);
	r = bufio_write_dirty_buffers(run->client);
	step_expect(run, r, "flush");
	if (r)
		return;
	if (run->record)
		note_promise(run, &before);
	for (unsigned k = 0; k < NR_SHARED; k++)
		check_written(run, k, before.stamp[k]);
	for (unsigned k = 0; k < NR_OWN; k++) {
		uint64_t block = FIRST_OWN + t->number * NR_OWN + k;

		check_written(run, block, run->cells[block].stamp);
	}
}

static void step_range(struct thread *t, const struct instruction *i)
{
	unsigned nr = 1 + i->arg % 8;
	struct promise before;
	int r;

	if (i->block + nr > NR_SHARED)
		return;
	note_stamps(t->run, before.stamp);
	r = bufio_write_range(t->run->client, i->block, nr);
	step_expect(t->run, r, "write range");
	for (unsigned k = 0; !r && k < nr; k++)
		check_written(t->run, i->block + k, before.stamp[i->block + k]);
	/* A lie: without a flush nothing is promised. */
	if (t->run->record && t->run->p->lie)
		note_promise(t->run, &before);
}

static void step_forget(struct thread *t, const struct instruction *i)
{
	if (i->arg % 4)
		bufio_forget(t->run->client, i->block);
	else
		bufio_forget_range(t->run->client, i->block, i->arg);
}

static void step_ahead(struct thread *t, const struct instruction *i)
{
	int r = bufio_prefetch(t->run->client, i->block, i->arg % 8);

	if (r && !(i->block + i->arg % 8 > NR_BLOCKS && r == -ERANGE))
		program_fail("prefetch: %s", strerror(-r));
}

/* Moves. */

/* A clean block may be changed without being marked: only its new place gets that. */
static void change_for_move(struct thread *t, uint64_t block, struct bufio_buffer *b,
			    uint64_t *stamp)
{
	if (bufio_write_range(t->run->client, block, 1))
		return;
	*stamp = atomic_fetch_add(&t->run->last_stamp, 1) + 1;
	content_fill(t->run, bufio_data(b), *stamp, block);
}

/* With others about, or a prefetch on its way, one may hold the block and so keep it cached. */
static bool is_alone(const struct run *run)
{
	return run->p->nr_threads == 1 && run->p->engine != ON_REORDER;
}

static void step_move(struct thread *t, const struct instruction *i)
{
	struct cell *from = &t->run->cells[i->block], *to;
	uint64_t stamp = from->stamp, home = from->home;
	uint64_t target = FIRST_OWN + t->number * NR_OWN + i->arg % NR_OWN;
	struct bufio_buffer *b;
	int r;

	if (!step_is_own(t, i->block))
		return;
	to = &t->run->cells[target];
	step_put_all(t);
	r = bufio_read(t->run->client, i->block, &b);
	step_expect(t->run, r, "read");
	if (r)
		return;
	step_check_contents(t->run, i->block, bufio_data(b), "before a move");
	if (i->arg / NR_OWN % 2 && target != i->block && is_alone(t->run))
		change_for_move(t, i->block, b, &stamp);
	if (stamp != from->stamp)
		home = i->block;
	r = bufio_release_move(b, target);
	step_expect(t->run, r, "move");
	if (r) {
		bufio_release(b);
		return;
	}
	to->stamp = stamp;
	to->home = home;
}

static void step_cross(struct thread *t, const struct instruction *i)
{
	uint64_t target = FIRST_ARENA + i->arg % NR_ARENA;
	struct bufio_buffer *b;
	int r;

	step_put_all(t);
	r = bufio_read(t->run->client, i->block, &b);
	step_expect(t->run, r, "read");
	if (r)
		return;
	if (!content_is_whole(t->run, bufio_data(b)))
		program_fail("block %u of the arena is torn", i->block);
	if (i->arg / NR_ARENA % 2) {
		bufio_release(b);
		return;
	}
	r = bufio_release_move(b, target);
	step_expect(t->run, r, "move");
	if (r)
		bufio_release(b);
}

static void step_fault(struct thread *t, const struct instruction *i)
{
	static const unsigned which[] = {BUFIO_FAULT_READ, BUFIO_FAULT_WRITE, BUFIO_FAULT_FLUSH,
					 BUFIO_FAULT_READ | BUFIO_FAULT_WRITE};
	struct bufio_fault fault = {.ops = which[i->arg % 4],
				    .first = 1 + i->arg / 4 % 4,
				    .count = 1 + i->arg / 16 % 2,
				    .error = -EIO};

	bufio_engine_fault_set(t->run->fault, &fault);
}

static void step_nothing(struct thread *t, const struct instruction *i)
{
}

static void step_put(struct thread *t, const struct instruction *i)
{
	put(t, slot_of(t, i));
}

static void step_check(struct thread *t, const struct instruction *i)
{
	struct bufio_stats stats;

	step_verify(t);
	bufio_get_stats(t->run->client, &stats);
	if (stats.peak_buffers > t->run->p->nr_buffers || stats.nr_buffers > stats.peak_buffers)
		program_fail("%llu buffers in memory, %u are allowed",
			     (unsigned long long)stats.peak_buffers, t->run->p->nr_buffers);
}

static void (*const steps[NR_OPS])(struct thread *t, const struct instruction *i) = {
	[OP_NEW] = step_new,	     [OP_LEAVE] = step_leave,	 [OP_READ] = step_read,
	[OP_GET] = step_get,	     [OP_PUT] = step_put,	 [OP_DIRTY] = step_dirty,
	[OP_FLUSH] = step_flush,     [OP_RANGE] = step_range,	 [OP_FORGET] = step_forget,
	[OP_MOVE] = step_move,	     [OP_CROSS] = step_cross,	 [OP_AHEAD] = step_ahead,
	[OP_XREAD] = extent_read,    [OP_XWRITE] = extent_write, [OP_FAULT] = step_fault,
	[OP_PARTIAL] = step_partial, [OP_BYTES] = own_bytes,	 [OP_ZERO] = own_zero,
	[OP_DISCARD] = own_discard,  [OP_ABANDON] = own_abandon, [OP_RESIZE] = own_resize,
	[OP_LOOP] = step_nothing,    [OP_VERIFY] = step_check,
};

void step_run(struct thread *t, const struct instruction *i)
{
	steps[i->op](t, i);
}
