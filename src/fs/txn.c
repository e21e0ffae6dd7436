/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations: see txn.h.  Calls bufio only. */
#include "txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Promise blocks, all or none. */
static int reserve(struct fs *fs, uint64_t nr_blocks)
{
	uint64_t left = atomic_load(&fs->unreserved_blocks);

	do {
		if (left < nr_blocks)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&fs->unreserved_blocks, &left, left - nr_blocks));
	return 0;
}

int txn_start(struct fs *fs, unsigned nr_blocks, struct txn *t)
{
	int r;

	if (fs->read_only)
		return -EROFS;
	pthread_rwlock_rdlock(&fs->txn_lock);
	r = reserve(fs, nr_blocks);
	if (r < 0) {
		pthread_rwlock_unlock(&fs->txn_lock);
		return r;
	}
	t->fs = fs;
	t->reserved = nr_blocks;
	t->nr_buffers = 0;
	t->max_buffers = TXN_INLINE_BUFFERS;
	t->buffers = t->inline_buffers;
	return 0;
}

static bool has(const struct txn *t, const struct bufio_buffer *b)
{
	/* from the end: the newest are changed again most often */
	for (unsigned i = t->nr_buffers; i; i--) {
		if (t->buffers[i - 1] == b)
			return true;
	}
	return false;
}

static int grow(struct txn *t)
{
	struct bufio_buffer **old = t->buffers == t->inline_buffers ? NULL : t->buffers, **p;

	p = realloc(old, sizeof(*p) * t->max_buffers * 2);
	if (!p)
		return -ENOMEM;
	if (!old)
		memcpy(p, t->inline_buffers, sizeof(t->inline_buffers));
	t->buffers = p;
	t->max_buffers *= 2;
	return 0;
}

int txn_modify(struct txn *t, struct bufio_buffer *b)
{
	int r;

	if (has(t, b))
		return 0;
	if (t->nr_buffers == t->max_buffers) {
		r = grow(t);
		if (r < 0)
			return r;
	}
	bufio_pin(b);
	t->buffers[t->nr_buffers++] = b;
	return 0;
}

void txn_stop(struct txn *t)
{
	for (unsigned i = 0; i < t->nr_buffers; i++)
		bufio_unpin(t->buffers[i], true);
	if (t->buffers != t->inline_buffers)
		free(t->buffers);
	atomic_fetch_add(&t->fs->unreserved_blocks, t->reserved);
	pthread_rwlock_unlock(&t->fs->txn_lock);
}

void txn_freeze(struct fs *fs)
{
	pthread_rwlock_wrlock(&fs->txn_lock);
}

void txn_thaw(struct fs *fs)
{
	pthread_rwlock_unlock(&fs->txn_lock);
}
