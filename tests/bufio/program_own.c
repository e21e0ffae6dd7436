/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions whose outcome only the owner of a block can foretell, for they take contents back
 * to zero or throw them away; and those on the client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

/* Whatever happened to the block: from now on it is known again. */
static void make_known(struct run *run, uint64_t block)
{
	struct bufio_buffer *b;
	int r = bufio_new(run->client, block, &b);

	if (r)
		program_fail("new: %s", strerror(-r));
	step_change(run, b, block, true);
	bufio_release(b);
}

void own_bytes(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	struct cell *cell = &run->cells[i->block];
	size_t size = run->p->block_bytes;
	char *data = malloc(size);
	int r;

	step_put_all(t);
	if (i->arg % 2) {
		cell->stamp = atomic_fetch_add(&run->last_stamp, 1) + 1;
		cell->home = i->block;
		content_fill(run, data, cell->stamp, cell->home);
		r = bufio_write_bytes(run->client, i->block * size, data, size);
		if (r)
			program_fail("write bytes: %s", strerror(-r));
		memset(data, 0, size);
	}
	r = bufio_read_bytes(run->client, i->block * size, data, size);
	step_expect(run, r, "read bytes");
	if (!r)
		step_check_contents(run, i->block, data, "bytes");
	free(data);
}

void own_zero(struct thread *t, const struct instruction *i)
{
	unsigned last = FIRST_OWN + (t->number + 1) * NR_OWN, nr = 1 + i->arg % 4;
	struct run *run = t->run;
	int r;

	step_put_all(t);
	nr = i->block + nr > last ? last - i->block : nr;
	r = bufio_issue_zeroout(run->client, i->block, nr);
	step_expect(run, r, "zeroout");
	for (unsigned k = 0; k < nr; k++) {
		if (r)
			make_known(run, i->block + k);
		else
			run->cells[i->block + k].stamp = 0;
	}
}

/* Who looks for the block meanwhile (a read ahead) holds it for a moment. */
static bool may_be_busy(const struct run *run, int r)
{
	return r == -EBUSY && run->p->nr_threads > 1;
}

void own_discard(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	int r;

	step_put_all(t);
	if (i->arg % 2)
		r = bufio_discard_buffers(run->client, i->block, 1);
	else
		r = bufio_issue_discard(run->client, i->block, 1);
	if (!may_be_busy(run, r))
		step_expect(run, r, "discard");
	make_known(run, i->block);
}

static uint64_t nr_written(const struct run *run)
{
	struct bufio_stats stats;

	bufio_get_stats(run->client, &stats);
	return stats.written_blocks;
}

/* One block is dirty.  Either it was written in time, or it is lost and counted. */
void own_abandon(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	struct cell *cell = &run->cells[i->block], old = *cell;
	struct bufio_buffer *b;
	uint64_t nr_lost, written;
	bool is_old;
	int r;

	if (run->p->nr_threads > 1)
		return;
	step_put_all(t);
	if (bufio_write_dirty_buffers(run->client)) {
		if (!step_is_faulty(run))
			program_fail("flush");
		return;
	}
	written = nr_written(run);
	make_known(run, i->block);
	nr_lost = bufio_abandon(run->client);
	written = nr_written(run) - written;
	if (nr_lost > 1)
		program_fail("%llu buffers lost, one was dirty", (unsigned long long)nr_lost);
	r = bufio_read(run->client, i->block, &b);
	step_expect(run, r, "read");
	is_old = !r && content_is(run, bufio_data(b), old.stamp, old.home);
	/*
	 * A write that failed may have got there all the same; one in the background may have gone between two marks of
	 * the change, and left it dirty once more.
	 */
	if (nr_lost && (is_old || r || (!step_is_faulty(run) && !written))) {
		cell->stamp = old.stamp;
		cell->home = old.home;
	}
	if (r) {
		make_known(run, i->block);
		return;
	}
	step_check_contents(run, i->block, bufio_data(b), "abandoned");
	bufio_release(b);
}

#define MOST_MINIMUM 8u

/* Never so small that the slots of all threads would break the rule. */
void own_resize(struct thread *t, const struct instruction *i)
{
	const struct program *p = t->run->p;
	unsigned least = p->nr_threads * (PROGRAM_SLOTS + 1) + MOST_MINIMUM;
	size_t limit = least + (p->nr_buffers - least) * i->arg / 63, cache;
	int r;

	if (p->nr_buffers <= least)
		return;
	if (i->slot % 4 == 0) {
		r = bufio_set_minimum_buffers(t->run->client, i->arg % (MOST_MINIMUM + 1));
		if (r)
			program_fail("set minimum: %s", strerror(-r));
		return;
	}
	cache = i->slot % 2 ? limit : limit - limit / 4;
	r = bufio_resize(t->run->client, cache * p->block_bytes, limit * p->block_bytes);
	if (r != -EBUSY)
		step_expect(t->run, r, "resize");
}
