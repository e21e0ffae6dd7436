/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents: transfers past the buffers, waited for, not waited for, and behind, against the same oracle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

#define MOST_EXTENT 6

static unsigned lock_extent(struct run *run, const struct instruction *i, bool write)
{
	unsigned nr = 2 + i->arg % (MOST_EXTENT - 1);

	if (i->block + nr > NR_SHARED)
		nr = NR_SHARED - i->block;
	for (unsigned k = 0; k < nr; k++) {
		if (write)
			pthread_rwlock_wrlock(&run->cells[i->block + k].lock);
		else
			pthread_rwlock_rdlock(&run->cells[i->block + k].lock);
	}
	return nr;
}

static void unlock_extent(struct run *run, const struct instruction *i, unsigned nr)
{
	for (unsigned k = 0; k < nr; k++)
		pthread_rwlock_unlock(&run->cells[i->block + k].lock);
}

static void *extent_memory(const struct run *run, unsigned nr)
{
	void *data;

	if (posix_memalign(&data, 4096, (size_t)nr * run->p->block_bytes))
		abort();
	return data;
}

struct extent_call {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned nr_done;
	int result;
};

static void extent_done(void *context, int result)
{
	struct extent_call *call = context;

	pthread_mutex_lock(&call->lock);
	call->nr_done++;
	call->result = result;
	pthread_cond_signal(&call->wake);
	pthread_mutex_unlock(&call->lock);
}

/* Every other one is asynchronous, and then waited for. */
static int transfer_extent(struct run *run, const struct instruction *i, unsigned nr,
			   const struct iovec *iov, bool write)
{
	struct extent_call call = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	const struct bufio_extent x = {i->block, nr, iov, 1};
	bool is_async = i->slot % 2;
	int r = (write ? bufio_write_extent
		       : bufio_read_extent)(run->client, &x, is_async ? extent_done : NULL, &call);

	if (r || !is_async)
		return r;
	pthread_mutex_lock(&call.lock);
	while (!call.nr_done)
		pthread_cond_wait(&call.wake, &call.lock);
	pthread_mutex_unlock(&call.lock);
	return call.result;
}

void extent_read(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	unsigned nr = lock_extent(run, i, false);
	char *data = extent_memory(run, nr);
	struct iovec iov = {data, (size_t)nr * run->p->block_bytes};
	int r = transfer_extent(run, i, nr, &iov, false);

	step_expect(run, r, "read extent");
	for (unsigned k = 0; !r && k < nr; k++) {
		const struct cell *cell = &run->cells[i->block + k];

		if (!content_is(run, data + k * run->p->block_bytes, cell->stamp, cell->home))
			program_fail("extent: block %u is not the newest", i->block + k);
	}
	unlock_extent(run, i, nr);
	free(data);
}

/*
 * After an error each block is as it was or new: make it certain again.  What an earlier write behind could not write
 * may have to find room first: until then it is told.
 */
static void mend_extent(struct run *run, const struct instruction *i, unsigned nr)
{
	struct bufio_buffer *b;
	int r;

	for (unsigned k = 0; k < nr; k++) {
		do {
			r = bufio_new(run->client, i->block + k, &b);
		} while (r == -EIO && step_is_faulty(run));
		if (r)
			program_fail("new: %s", strerror(-r));
		step_change(run, b, i->block + k, true);
		bufio_release(b);
	}
}

void extent_write(struct thread *t, const struct instruction *i)
{
	struct run *run = t->run;
	unsigned nr;
	char *data;
	struct iovec iov;
	uint64_t stamp;
	bool is_behind = i->slot / 2 % 2;
	int r;

	if (step_is_faulty(run))
		step_put_all(t); /* for the mending */
	nr = lock_extent(run, i, true);
	data = extent_memory(run, nr);
	iov = (struct iovec){data, (size_t)nr * run->p->block_bytes};
	stamp = atomic_fetch_add(&run->last_stamp, nr);
	for (unsigned k = 0; k < nr; k++)
		content_fill(run, data + k * run->p->block_bytes, stamp + k + 1, i->block + k);
	r = is_behind ? bufio_write_behind(run->client, i->block, &iov, free, data)
		      : transfer_extent(run, i, nr, &iov, true);
	step_expect(run, r, "write extent");
	for (unsigned k = 0; !r && k < nr; k++) {
		run->cells[i->block + k].stamp = stamp + k + 1;
		run->cells[i->block + k].home = i->block + k;
	}
	if (r)
		mend_extent(run, i, nr);
	unlock_extent(run, i, nr);
	if (r || !is_behind)
		free(data);
}
