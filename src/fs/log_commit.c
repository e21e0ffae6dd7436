/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commit: close the open transaction, write its record.  By the one thread that is busy: log_callers.c.
 *
 * Operations are frozen only while the transaction's changes are copied into the record.
 */
#include "log.h"
#include "log_record.h"
#include "meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So many blocks of new data go into the record; more are written to their place first. */
#define DATA_IN_RECORD 16u

/* Data that must be in the record, being in the log already: beyond this a checkpoint is cheaper. */
#define LIVE_IN_RECORD 256u

/* More runs of data than this: all that is dirty is written. */
#define MAX_RUNS 64u

#define RECORD_ALIGN 65536u

/* A record being made: the images, and the buffers of data held for them. */
struct making {
	struct image_of_block *images;
	size_t nr;
	struct bufio_buffer **held;
	size_t nr_held;
	uint32_t nr_blocks, offset, skipped; /* its size and place; blocks left over by a wrap */
	bool data_home;			     /* data has to be written to its place first */
};

static void making_finish(struct making *m)
{
	while (m->nr_held)
		bufio_release(m->held[--m->nr_held]);
	free(m->held);
	free(m->images);
}

static bool is_empty(const struct transaction *t)
{
	return !t->nr_joined && !t->nr_data;
}

/* What of a joined buffer is to be logged; its checksum becomes right. */
static uint64_t joined_mask(const struct log *l, const struct joined *j)
{
	const struct geometry *g = &l->fs->geo;
	uint64_t mask = UINT64_MAX;

	if (!j->whole)
		mask = record_diff(g, j->before, bufio_data(j->b));
	if (!mask || !meta_stamp(l->fs, j->b, l->open.seq))
		return mask;
	/* the head may be two pieces */
	return mask | 1 | (record_piece_bytes(g) < DISK_HEAD_BYTES ? 2 : 0);
}

static void add_image(struct making *m, struct bufio_buffer *b, uint64_t mask)
{
	m->images[m->nr++] = (struct image_of_block){bufio_block(b), mask, bufio_data(b)};
}

static void add_joined(struct log *l, struct making *m)
{
	for (size_t i = 0; i < l->open.nr_joined; i++) {
		const struct joined *j = &l->open.joined[i];
		uint64_t mask = joined_mask(l, j);

		if (mask)
			add_image(m, j->b, mask);
	}
}

/*
 * The data of a block goes into the record.  What is not cached any more was written to its
 * place, which will do, unless the log has an older image of it.
 */
static int add_data_block(struct log *l, struct making *m, uint64_t block)
{
	bool live = log_is_live(l, block);
	struct bufio_buffer *b;
	int r;

	r = live ? bufio_read(l->fs->bufio, block, &b) : bufio_get(l->fs->bufio, block, &b);
	if (r == -ENOENT || r == -EAGAIN) {
		m->data_home = true;
		return 0;
	}
	if (r < 0)
		return r;
	m->held[m->nr_held++] = b;
	/* if it is joined too, all of it is in the record already */
	if (meta_joined(b) != l->open.seq)
		add_image(m, b, UINT64_MAX);
	return 0;
}

static uint64_t count_live(struct log *l)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < l->open.nr_data; i++)
		for (uint64_t k = 0; k < l->open.data[i].count; k++)
			nr += log_is_live(l, l->open.data[i].block + k);
	return nr;
}

/* few: all data goes into the record; else what must. */
static int add_data(struct log *l, struct making *m, bool few)
{
	int r = 0;

	for (size_t i = 0; i < l->open.nr_data; i++) {
		const struct data_run *run = &l->open.data[i];

		for (uint64_t k = 0; k < run->count && r == 0; k++)
			if (few || log_is_live(l, run->block + k))
				r = add_data_block(l, m, run->block + k);
	}
	return r;
}

static int gather(struct log *l, struct making *m)
{
	bool few = l->open.data_blocks <= DATA_IN_RECORD;
	uint64_t data = few ? l->open.data_blocks : count_live(l);
	size_t most = l->open.nr_joined + data;
	int r;

	if (!few && data > LIVE_IN_RECORD)
		return -EAGAIN;
	m->images = malloc((most + 1) * sizeof(*m->images));
	m->held = malloc((data + 1) * sizeof(struct bufio_buffer *));
	if (!m->images || !m->held)
		return -ENOMEM;
	m->data_home = !few;
	add_joined(l, m);
	r = add_data(l, m, few);
	return r < 0 ? r : live_set_reserve(&l->live, m->nr);
}

/* Find room for the record.  -EAGAIN: there is none before a checkpoint; -EFBIG: never. */
static int place(const struct log *l, struct making *m)
{
	uint32_t end = l->fs->geo.log_blocks, n = m->nr_blocks;

	if (n > end - 1)
		return -EFBIG;
	m->offset = l->head;
	m->skipped = 0;
	if (l->empty || l->head > l->tail) {
		if (n <= end - l->head)
			return 0;
		m->skipped = end - l->head;
		m->offset = 1;
		return l->empty || n < l->tail ? 0 : -EAGAIN;
	}
	return n < l->tail - l->head ? 0 : -EAGAIN;
}

static int reserve_memory(struct log *l, size_t size)
{
	void *p;

	if (size <= l->record_bytes)
		return 0;
	if (posix_memalign(&p, RECORD_ALIGN, size))
		return -ENOMEM;
	free(l->record);
	l->record = p;
	l->record_bytes = size;
	return 0;
}

/* Build the record of the open transaction; operations are frozen. */
static int make(struct log *l, struct making *m)
{
	const struct geometry *g = &l->fs->geo;
	struct record_place at = {.seq = l->open.seq};
	int r;

	r = gather(l, m);
	if (r < 0)
		return r;
	m->nr_blocks = record_size(g, m->images, m->nr);
	r = place(l, m);
	if (r == 0)
		r = reserve_memory(l, (size_t)m->nr_blocks << g->block_shift);
	if (r < 0)
		return r;
	at.offset = m->offset;
	at.tail_seq = l->empty ? l->open.seq : atomic_load(&l->tail_seq);
	at.tail_offset = l->empty ? m->offset : l->tail;
	record_build(l->fs, &at, m->images, m->nr, l->record);
	for (size_t i = 0; i < m->nr; i++)
		live_set_add(&l->live, m->images[i].block);
	return 0;
}

/* Those who came for it are served by what is written now. */
static void callers_closed(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	l->closed_seq = l->closed.seq;
	l->nr_served += l->nr_next;
	l->nr_next = 0;
	pthread_mutex_unlock(&l->lock);
}

/* The open transaction becomes the closed one.  Who comes for the next one, which can be asked for from then on, finds it closed. */
static void close_open(struct log *l, bool data_home)
{
	pthread_mutex_lock(&l->join_lock);
	l->closed = l->open;
	l->open = (struct transaction){.seq = l->closed.seq + 1};
	callers_closed(l);
	pthread_mutex_unlock(&l->join_lock);
	atomic_store(&l->data_unwritten, data_home);
}

/* Close the open transaction with its record made.  1: there is nothing to commit. */
static int close_and_make(struct log *l, struct making *m)
{
	int r;

	log_freeze(l);
	r = is_empty(&l->open) ? 1 : make(l, m);
	if (r == 0)
		close_open(l, m->data_home);
	log_thaw(l);
	return r;
}

/* With what is home already the runs cost nothing. */
static int write_data(struct log *l)
{
	const struct transaction *t = &l->closed;
	int r = 0;

	if (t->nr_data > MAX_RUNS)
		return bufio_write_unpinned(l->fs->bufio, 0, l->fs->geo.nr_blocks);
	for (size_t i = 0; i < t->nr_data && r == 0; i++)
		r = bufio_write_unpinned(l->fs->bufio, t->data[i].block, t->data[i].count);
	return r;
}

static int write_record(struct log *l, const struct making *m)
{
	struct bufio_engine *e = bufio_engine_of(l->fs->bufio);
	const struct geometry *g = &l->fs->geo;
	struct iovec iov = {l->record, (size_t)m->nr_blocks << g->block_shift};
	struct bufio_io io = {
		.op = BUFIO_OP_WRITE,
		.flags = BUFIO_IO_DURABLE,
		.offset_bytes = (g->log_start + m->offset) << g->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = iov.iov_len,
	};

	uint64_t since = log_now_ns();
	int r = e->ops->transfer(e, &io);

	l->write_ns = log_now_ns() - since;
	return r;
}

static void end_data(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->data_unwritten, false);
	pthread_cond_broadcast(&l->done);
	pthread_mutex_unlock(&l->lock);
}

void log_wait_data(struct log *l)
{
	if (!atomic_load(&l->data_unwritten))
		return;
	pthread_mutex_lock(&l->lock);
	while (atomic_load(&l->data_unwritten))
		pthread_cond_wait(&l->done, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

/* New data is durable before the record, which is one write and needs no flush of its own. */
static int write_all(struct log *l, const struct making *m)
{
	int r = 0;

	if (m->data_home) {
		fs_waits(l->fs);
		r = write_data(l);
		if (r == 0)
			r = bufio_flush_written(l->fs->bufio);
		end_data(l);
	}
	return r < 0 ? r : write_record(l, m);
}

/* The record, also an empty one, is in the log: numbers must not have gaps. */
static void advance(struct log *l, const struct making *m)
{
	if (l->empty) {
		l->tail = m->offset;
		atomic_store(&l->tail_seq, l->closed.seq);
	}
	l->empty = false;
	l->head = m->offset + m->nr_blocks;
	atomic_fetch_add(&l->used_blocks, m->nr_blocks + m->skipped);
}

/* Its buffers may be written home now. */
static void let_go(struct transaction *t)
{
	for (size_t i = 0; i < t->nr_joined; i++) {
		bufio_unpin(t->joined[i].b, true);
		free(t->joined[i].before);
	}
	t->nr_joined = 0;
	transaction_finish(t, 0);
}

static int commit_made(struct log *l, struct making *m)
{
	int r = write_all(l, m);

	making_finish(m);
	if (r < 0) {
		log_abort(l, r);
		return r;
	}
	advance(l, m);
	atomic_store(&l->durable_seq, l->closed.seq);
	let_go(&l->closed);
	return 0;
}

/*
 * An error before the transaction is closed leaves it open, so that it can be tried again.
 */
int commit_busy(struct log *l)
{
	bool emptied = false;
	int r;

	for (;;) {
		struct making m = {0};

		r = close_and_make(l, &m);
		if (r == 0)
			return commit_made(l, &m);
		making_finish(&m);
		if (r == 1)
			return 0;
		/* after a checkpoint less data has to be in the record */
		if ((r == -EAGAIN || r == -EFBIG) && !emptied)
			r = checkpoint_busy(l);
		else if (r == -EAGAIN || r == -EFBIG)
			log_abort(l, r = -EFBIG); /* it can never be written */
		if (r < 0)
			return r;
		emptied = true;
	}
}
