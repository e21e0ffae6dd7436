/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who frees an unlinked inode, and who waits for that.  A file's blocks are freed when the kernel forgets
 * it, which it says without waiting for an answer: a process that has removed a file goes on while we free
 * it.  So what asks how much is free, or finds nothing free, first waits for what was begun before.
 *
 * A later one is not waited for, so a stream of them holds nobody up.  Calls txn.
 */
#include "balloc.h"
#include "inode.h"
#include "itable.h"

void freeing_init(struct freeing *f)
{
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->ended, NULL);
}

void freeing_finish(struct freeing *f)
{
	pthread_cond_destroy(&f->ended);
	pthread_mutex_destroy(&f->lock);
}

void freeing_begin(struct fs *fs, struct fs_freeing *one)
{
	struct freeing *f = &fs->inodes->freeing;
	struct fs_freeing **end = &f->first;

	pthread_mutex_lock(&f->lock);
	while (*end)
		end = &(*end)->next;
	*one = (struct fs_freeing){.number = ++f->last_number};
	*end = one;
	pthread_mutex_unlock(&f->lock);
}

void freeing_end(struct fs *fs, struct fs_freeing *one)
{
	struct freeing *f = &fs->inodes->freeing;
	struct fs_freeing **link = &f->first;

	pthread_mutex_lock(&f->lock);
	while (*link != one)
		link = &(*link)->next;
	*link = one->next;
	pthread_cond_broadcast(&f->ended);
	pthread_mutex_unlock(&f->lock);
}

bool inode_wait_freeing(struct fs *fs)
{
	struct freeing *f = &fs->inodes->freeing;
	uint64_t upto;
	bool waited;

	pthread_mutex_lock(&f->lock);
	upto = f->last_number;
	waited = f->first != NULL;
	while (f->first && f->first->number <= upto)
		pthread_cond_wait(&f->ended, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return waited;
}

bool inode_make_room(struct fs *fs)
{
	bool waited = inode_wait_freeing(fs);

	return txn_make_room(fs) == 0 || waited;
}

void inode_gather_room(struct fs *fs, uint64_t nr_blocks)
{
	if (!balloc_has(fs, nr_blocks + TXN_KEPT_BLOCKS))
		inode_make_room(fs);
}

void fs_forget_begin(struct fs *fs, struct fs_freeing *together)
{
	freeing_begin(fs, together);
}

void fs_forget_end(struct fs *fs, struct fs_freeing *together)
{
	freeing_end(fs, together);
}
