/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The open transaction, and the log from start to end: see log.h.  Calls meta, super, bufio. */
#include "log.h"
#include "meta.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Buffers that an operation joins, but for strange ones: a transaction may outgrow max_joined by those. */
#define OP_BUFFERS 24u

void log_abort(struct log *l, int r)
{
	super_report(l->fs, &(struct fs_error){.error = r, .function = "log", .line = __LINE__},
		     FS_FATAL);
}

uint64_t log_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void log_freeze(struct log *l)
{
	pthread_rwlock_wrlock(&l->fs->txn_lock);
}

void log_thaw(struct log *l)
{
	pthread_rwlock_unlock(&l->fs->txn_lock);
}

bool log_enter(struct log *l)
{
	bool enters;

	pthread_mutex_lock(&l->join_lock);
	enters = (!l->nr_ops && !l->open.nr_joined) ||
		 l->open.nr_joined + (size_t)(l->nr_ops + 1) * OP_BUFFERS <= l->max_joined;
	if (enters)
		l->nr_ops++;
	pthread_mutex_unlock(&l->join_lock);
	return enters;
}

void log_leave(struct log *l)
{
	pthread_mutex_lock(&l->join_lock);
	l->nr_ops--;
	pthread_mutex_unlock(&l->join_lock);
}

/* Room for one more in an array that doubles. */
static int reserve_one(void *items, size_t nr, size_t *max, size_t item_bytes)
{
	size_t more = *max ? *max * 2 : 64;
	void **array = items, *p;

	if (nr < *max)
		return 0;
	p = reallocarray(*array, more, item_bytes);
	if (!p)
		return -ENOMEM;
	*array = p;
	*max = more;
	return 0;
}

static int join_locked(struct log *l, struct bufio_buffer *b)
{
	struct transaction *t = &l->open;
	size_t size = l->fs->geo.block_bytes;
	struct joined j = {.b = b, .whole = meta_is_new(b) || meta_is_data(b)};
	int r;

	r = reserve_one(&t->joined, t->nr_joined, &t->max_joined, sizeof(*t->joined));
	if (r < 0)
		return r;
	if (!meta_is_new(b)) {
		j.before = malloc(size);
		if (!j.before)
			return -ENOMEM;
		memcpy(j.before, bufio_data(b), size);
	}
	t->joined[t->nr_joined++] = j;
	meta_join(b, t->seq);
	return 0;
}

int log_join(struct log *l, struct bufio_buffer *b)
{
	int r = 1;

	if (meta_joined(b) == l->open.seq)
		return 0;
	/* may wait for a write of it, so before the lock */
	bufio_pin(b);
	pthread_mutex_lock(&l->join_lock);
	if (meta_joined(b) != l->open.seq)
		r = join_locked(l, b);
	pthread_mutex_unlock(&l->join_lock);
	if (r != 0)
		bufio_unpin(b, false);
	return r < 0 ? r : 0;
}

static int add_data_locked(struct transaction *t, uint64_t block, uint64_t count)
{
	struct data_run *last = t->nr_data ? &t->data[t->nr_data - 1] : NULL;
	int r;

	if (last && last->block + last->count == block) {
		last->count += count;
	} else {
		r = reserve_one(&t->data, t->nr_data, &t->max_data, sizeof(*t->data));
		if (r < 0)
			return r;
		t->data[t->nr_data++] = (struct data_run){block, count};
	}
	t->data_blocks += count;
	return 0;
}

int log_add_data(struct log *l, uint64_t block, uint64_t count, struct bufio_buffer *b)
{
	int r;

	if (b && !meta_add_data(b, l->open.seq))
		return 0;
	pthread_mutex_lock(&l->join_lock);
	r = add_data_locked(&l->open, block, count);
	pthread_mutex_unlock(&l->join_lock);
	if (r < 0 && b)
		meta_add_data(b, 0);
	return r;
}

uint64_t log_last_seq(struct log *l)
{
	uint64_t seq;

	pthread_mutex_lock(&l->join_lock);
	seq = l->open.seq;
	pthread_mutex_unlock(&l->join_lock);
	return seq;
}

void log_note_emptied(struct log *l)
{
	atomic_store(&l->just_emptied, true);
}

bool log_take_emptied(struct log *l)
{
	return atomic_exchange(&l->just_emptied, false);
}

bool log_is_live(struct log *l, uint64_t block)
{
	return live_set_has(&l->live, block);
}

bool log_wants_checkpoint(const struct log *l)
{
	return atomic_load(&l->used_blocks) > l->fs->geo.log_blocks / 2;
}

void transaction_finish(struct transaction *t, size_t block_bytes)
{
	for (size_t i = 0; i < t->nr_joined; i++) {
		const struct joined *j = &t->joined[i];

		/* as soon as it is not pinned it may be written */
		if (j->before)
			memcpy(bufio_data(j->b), j->before, block_bytes);
		bufio_unpin(j->b, false);
		free(j->before);
	}
	free(t->joined);
	free(t->data);
	*t = (struct transaction){0};
}
