/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations: see txn.h.  Calls held, log and bufio. */
#include "txn.h"
#include "held.h"

#include <errno.h>

enum space { SPACE_ORDINARY, SPACE_KEPT };

/*
 * Promise blocks, all or none.  Most promises are for the worst case and come back, so as long as one block is left
 * beside those that are kept, they may be of those too.
 */
static int reserve(struct fs *fs, uint64_t nr_blocks, enum space space)
{
	uint64_t kept = space == SPACE_ORDINARY ? fs->kept_blocks : 0;
	uint64_t left = atomic_load(&fs->unreserved_blocks);

	if (!nr_blocks)
		return 0;
	do {
		if (left < nr_blocks || left <= kept)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&fs->unreserved_blocks, &left, left - nr_blocks));
	return 0;
}

/* Into the open transaction; a full one is committed first. */
static int enter(struct fs *fs)
{
	uint64_t seq;
	int r;

	for (;;) {
		if (log_error(fs->log))
			return atomic_load(&fs->shut) ? -EIO : -EROFS;
		pthread_rwlock_rdlock(&fs->txn_lock);
		if (log_enter(fs->log))
			return 0;
		seq = log_seq(fs->log);
		pthread_rwlock_unlock(&fs->txn_lock);
		r = log_commit(fs->log, seq);
		if (r < 0)
			return r;
	}
}

static void leave(struct fs *fs)
{
	log_leave(fs->log);
	pthread_rwlock_unlock(&fs->txn_lock);
}

static int enter_and_reserve(struct fs *fs, unsigned nr_blocks, enum space space)
{
	int r = enter(fs);

	if (r < 0)
		return r;
	r = reserve(fs, nr_blocks, space);
	if (r < 0)
		leave(fs);
	return r;
}

int txn_make_room(struct fs *fs)
{
	int r;

	/* what others promised themselves and did not need comes back when they are over */
	log_freeze(fs->log);
	log_thaw(fs->log);
	if (!held_blocks(fs))
		return 0;
	r = log_commit_open(fs->log);
	if (r == 0)
		held_release(fs);
	return r;
}

static int start(struct fs *fs, unsigned nr_blocks, enum space space, struct txn *t)
{
	int r;

	if (fs->read_only)
		return -EROFS;
	r = enter_and_reserve(fs, nr_blocks, space);
	if (r == -ENOSPC) {
		r = txn_make_room(fs);
		if (r == 0)
			r = enter_and_reserve(fs, nr_blocks, space);
	}
	if (r < 0)
		return r;
	t->fs = fs;
	t->reserved = nr_blocks;
	t->seq = log_seq(fs->log);
	t->sync = false;
	return 0;
}

int txn_start(struct fs *fs, unsigned nr_blocks, struct txn *t)
{
	return start(fs, nr_blocks, SPACE_ORDINARY, t);
}

int txn_start_kept(struct fs *fs, unsigned nr_blocks, struct txn *t)
{
	return start(fs, nr_blocks, SPACE_KEPT, t);
}

int txn_modify(struct txn *t, struct bufio_buffer *b)
{
	return log_join(t->fs->log, b);
}

int txn_add_data(struct txn *t, uint64_t block, uint64_t count, struct bufio_buffer *b)
{
	return log_add_data(t->fs->log, block, count, b);
}

void txn_note_emptied(struct txn *t)
{
	log_note_emptied(t->fs->log);
}

void txn_end(struct txn *t)
{
	atomic_fetch_add(&t->fs->unreserved_blocks, t->reserved);
	leave(t->fs);
}

int txn_stop(struct txn *t)
{
	txn_end(t);
	return t->sync ? log_commit(t->fs->log, t->seq) : 0;
}
