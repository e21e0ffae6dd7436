/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine that logs every write, flush and discard, around any other one: the material
 * from which the states that a power cut may leave are built.
 *
 * The log is true to time: a write stands in it before the device sees it, its completion
 * before the submitter hears of it, the begin of a flush before the device starts it.  So
 * whatever the submitter did because of an event stands behind that event.
 *
 * All memory of a write is had before it is passed on; what cannot be logged fails with
 * -ENOMEM and never reaches the device.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <bufio_test_engine.h>
#include "engine.h"

#define SUBMIT_BATCH 64

/* An entry and the data behind it. */
struct record_item {
	struct bufio_record_entry entry;
	char data[];
};

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	L  lock, which is not held while the inner engine is called
 */
struct record_engine {
	struct bufio_engine head;   /* I */
	struct bufio_engine *inner; /* I */
	pthread_mutex_t lock;
	struct record_item **log;	   /* L */
	size_t nr_log;			   /* L */
	size_t nr_reserved;		   /* L; room promised to completions and ends of flushes */
	size_t room;			   /* L; of log, at least nr_log + nr_reserved */
	uint64_t last_write;		   /* L */
	uint64_t last_flush;		   /* L */
	struct bufio_record_counts counts; /* L */
};

/* A write on its way through the inner engine, in place of the submitter's. */
struct record_write {
	struct bufio_io inner_io;
	struct record_engine *engine;
	struct bufio_io *io;
	struct record_item *complete; /* goes into the log when the write has */
};

/* The log. */

static struct record_item *item_create(enum bufio_record_kind kind, size_t size_bytes)
{
	struct record_item *item = calloc(1, sizeof(*item) + size_bytes);

	if (item) {
		item->entry.kind = kind;
		item->entry.size_bytes = size_bytes;
		item->entry.data = size_bytes ? item->data : NULL;
	}
	return item;
}

/* Make sure that the next nr entries find room. */
static int log_reserve_locked(struct record_engine *rec, size_t nr)
{
	size_t need = rec->nr_log + rec->nr_reserved + nr, room = rec->room ? rec->room : 64;
	struct record_item **grown;

	while (room < need)
		room *= 2;
	if (room != rec->room) {
		grown = realloc(rec->log, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		rec->log = grown;
		rec->room = room;
	}
	rec->nr_reserved += nr;
	return 0;
}

static void log_add_locked(struct record_engine *rec, struct record_item *item)
{
	rec->nr_reserved--;
	rec->log[rec->nr_log++] = item;
}

/* Log first, and keep room for one more.  first is given away, also on an error. */
static int log_pair(struct record_engine *rec, struct record_item *first, uint64_t *number,
		    uint64_t *ret_number)
{
	int r;

	pthread_mutex_lock(&rec->lock);
	r = log_reserve_locked(rec, 2);
	if (r == 0) {
		first->entry.write = ++*number;
		*ret_number = *number;
		log_add_locked(rec, first);
	} else {
		free(first);
	}
	pthread_mutex_unlock(&rec->lock);
	return r;
}

/* The second of a pair; what did not succeed leaves no trace. */
static void log_pair_end(struct record_engine *rec, struct record_item *second, int result)
{
	pthread_mutex_lock(&rec->lock);
	if (result == 0)
		log_add_locked(rec, second);
	else
		rec->nr_reserved--;
	pthread_mutex_unlock(&rec->lock);
	if (result)
		free(second);
}

static void count_io(struct record_engine *rec, const struct bufio_io *io)
{
	pthread_mutex_lock(&rec->lock);
	if (io->op == BUFIO_OP_READ) {
		rec->counts.reads++;
		rec->counts.read_bytes += io->size_bytes;
	} else {
		rec->counts.writes++;
		rec->counts.write_bytes += io->size_bytes;
		if (io->flags & BUFIO_IO_DURABLE)
			rec->counts.durable_writes++;
	}
	pthread_mutex_unlock(&rec->lock);
}

/* Writes. */

static struct record_item *item_of_write(const struct bufio_io *io)
{
	struct record_item *item = item_create(BUFIO_RECORD_WRITE, io->size_bytes);
	size_t at = 0;
	unsigned i;

	if (!item)
		return NULL;
	for (i = 0; i < io->nr_iov; i++) {
		memcpy(item->data + at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	item->entry.offset_bytes = io->offset_bytes;
	item->entry.durable = io->flags & BUFIO_IO_DURABLE;
	return item;
}

/* Log a write that is about to be passed on; *ret_complete is for log_pair_end(). */
static int write_begin(struct record_engine *rec, const struct bufio_io *io,
		       struct record_item **ret_complete)
{
	struct record_item *item, *complete;
	uint64_t number;
	int r;

	/* What the device would refuse has no place in the log. */
	r = engine_check_io(&rec->head, io);
	if (r)
		return r;
	complete = item_create(BUFIO_RECORD_COMPLETE, 0);
	item = item_of_write(io);
	if (!item || !complete) {
		free(item);
		free(complete);
		return -ENOMEM;
	}
	r = log_pair(rec, item, &rec->last_write, &number);
	if (r) {
		free(complete);
		return r;
	}
	complete->entry.write = number;
	complete->entry.durable = io->flags & BUFIO_IO_DURABLE;
	*ret_complete = complete;
	return 0;
}

static void write_done(struct bufio_io *inner_io, int result)
{
	struct record_write *w = inner_io->context;
	struct bufio_io *io = w->io;

	log_pair_end(w->engine, w->complete, result);
	free(w);
	io->done(io, result);
}

/* Returns what to hand to the inner engine, or NULL: io has failed. */
static struct bufio_io *write_wrap(struct record_engine *rec, struct bufio_io *io)
{
	struct record_write *w = malloc(sizeof(*w));
	int r = w ? 0 : -ENOMEM;

	if (r == 0)
		r = write_begin(rec, io, &w->complete);
	if (r) {
		free(w);
		io->done(io, r);
		return NULL;
	}
	w->engine = rec;
	w->io = io;
	w->inner_io = *io;
	w->inner_io.done = write_done;
	w->inner_io.context = w;
	return &w->inner_io;
}

/* The engine. */

static void record_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct record_engine *rec = (struct record_engine *)e;
	struct bufio_io *batch[SUBMIT_BATCH], *io;
	unsigned i, n = 0;

	for (i = 0; i < nr; i++) {
		count_io(rec, ios[i]);
		io = ios[i]->op == BUFIO_OP_WRITE ? write_wrap(rec, ios[i]) : ios[i];
		if (io)
			batch[n++] = io;
		if (n == SUBMIT_BATCH) {
			rec->inner->ops->submit(rec->inner, batch, n);
			n = 0;
		}
	}
	if (n)
		rec->inner->ops->submit(rec->inner, batch, n);
}

static int record_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct record_engine *rec = (struct record_engine *)e;
	struct record_item *complete;
	int r;

	count_io(rec, io);
	if (io->op != BUFIO_OP_WRITE)
		return rec->inner->ops->transfer(rec->inner, io);
	r = write_begin(rec, io, &complete);
	if (r)
		return r;
	r = rec->inner->ops->transfer(rec->inner, io);
	log_pair_end(rec, complete, r);
	return r;
}

static int record_flush(struct bufio_engine *e)
{
	struct record_engine *rec = (struct record_engine *)e;
	struct record_item *begin, *end;
	uint64_t number;
	int r;

	pthread_mutex_lock(&rec->lock);
	rec->counts.flushes++;
	pthread_mutex_unlock(&rec->lock);
	begin = item_create(BUFIO_RECORD_FLUSH_BEGIN, 0);
	end = item_create(BUFIO_RECORD_FLUSH_END, 0);
	if (!begin || !end) {
		free(begin);
		free(end);
		return -ENOMEM;
	}
	r = log_pair(rec, begin, &rec->last_flush, &number);
	if (r) {
		free(end);
		return r;
	}
	end->entry.write = number;
	r = rec->inner->ops->flush(rec->inner);
	log_pair_end(rec, end, r);
	return r;
}

static int log_single(struct record_engine *rec, struct record_item *item)
{
	int r;

	if (!item)
		return -ENOMEM;
	pthread_mutex_lock(&rec->lock);
	r = log_reserve_locked(rec, 1);
	if (r == 0)
		log_add_locked(rec, item);
	pthread_mutex_unlock(&rec->lock);
	if (r)
		free(item);
	return r;
}

static int record_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct record_engine *rec = (struct record_engine *)e;
	struct record_item *item;
	int r;

	r = engine_check_range(e, offset_bytes, size_bytes);
	if (r)
		return r;
	item = item_create(BUFIO_RECORD_DISCARD, 0);
	if (item) {
		item->entry.offset_bytes = offset_bytes;
		item->entry.size_bytes = size_bytes;
	}
	r = log_single(rec, item);
	return r ? r : rec->inner->ops->discard(rec->inner, offset_bytes, size_bytes);
}

/* So zeroes come as writes, which whoever replays the log understands. */
static int record_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return -EOPNOTSUPP;
}

static void record_destroy(struct bufio_engine *e)
{
	struct record_engine *rec = (struct record_engine *)e;

	bufio_engine_destroy(rec->inner);
	bufio_engine_record_clear(e);
	free(rec->log);
	pthread_mutex_destroy(&rec->lock);
	free(rec);
}

static const struct bufio_engine_ops record_ops = {
	.submit = record_submit,
	.transfer = record_transfer,
	.flush = record_flush,
	.discard = record_discard,
	.zero = record_zero,
	.destroy = record_destroy,
};

int bufio_engine_record_create(struct bufio_engine *inner, struct bufio_engine **ret_engine)
{
	struct record_engine *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return -ENOMEM;
	rec->head = *inner;
	rec->head.ops = &record_ops;
	rec->head.name = "record";
	rec->inner = inner;
	pthread_mutex_init(&rec->lock, NULL);
	*ret_engine = &rec->head;
	return 0;
}

int bufio_engine_record_mark(struct bufio_engine *e, uint64_t value)
{
	struct record_item *item = item_create(BUFIO_RECORD_MARK, 0);

	if (item)
		item->entry.write = value;
	return log_single((struct record_engine *)e, item);
}

size_t bufio_engine_record_count(struct bufio_engine *e)
{
	struct record_engine *rec = (struct record_engine *)e;
	size_t n;

	pthread_mutex_lock(&rec->lock);
	n = rec->nr_log;
	pthread_mutex_unlock(&rec->lock);
	return n;
}

const struct bufio_record_entry *bufio_engine_record_get(struct bufio_engine *e, size_t index)
{
	struct record_engine *rec = (struct record_engine *)e;
	const struct bufio_record_entry *entry = NULL;

	pthread_mutex_lock(&rec->lock);
	if (index < rec->nr_log)
		entry = &rec->log[index]->entry;
	pthread_mutex_unlock(&rec->lock);
	return entry;
}

void bufio_engine_record_clear(struct bufio_engine *e)
{
	struct record_engine *rec = (struct record_engine *)e;

	pthread_mutex_lock(&rec->lock);
	while (rec->nr_log)
		free(rec->log[--rec->nr_log]);
	rec->counts = (struct bufio_record_counts){0};
	pthread_mutex_unlock(&rec->lock);
}

void bufio_engine_record_counts(struct bufio_engine *e, struct bufio_record_counts *ret)
{
	struct record_engine *rec = (struct record_engine *)e;

	pthread_mutex_lock(&rec->lock);
	*ret = rec->counts;
	pthread_mutex_unlock(&rec->lock);
}
