/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads that go on without a lock or reference (inode.h).  The count is the inode's, the place to sleep the table's: who
 * counts down for the last time touches the inode no more, so that who sees no reads may destroy it at once.
 */
#include "inode.h"
#include "itable.h"

void reads_init(struct reads *r)
{
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->ended, NULL);
}

void reads_finish(struct reads *r)
{
	/* the last to count down may still have it */
	pthread_mutex_lock(&r->lock);
	pthread_mutex_unlock(&r->lock);
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
}

void inode_read_begin(struct inode *inode)
{
	atomic_fetch_add(&inode->nr_reads, 1);
}

void inode_read_end(struct inode *inode)
{
	struct reads *r = &inode->fs->inodes->reads;

	pthread_mutex_lock(&r->lock);
	if (atomic_fetch_sub(&inode->nr_reads, 1) == 1)
		pthread_cond_broadcast(&r->ended);
	pthread_mutex_unlock(&r->lock);
}

void inode_lock_to_read(struct inode *inode)
{
	if (pthread_rwlock_tryrdlock(&inode->lock) == 0)
		return;
	/* for one who perhaps waits for reads that this thread has started */
	if (inode->fs->options.waits)
		inode->fs->options.waits();
	pthread_rwlock_rdlock(&inode->lock);
}

void inode_wait_reads(struct inode *inode)
{
	struct reads *r = &inode->fs->inodes->reads;

	if (!atomic_load(&inode->nr_reads))
		return;
	/* the thread's own may not have got to the device yet */
	if (inode->fs->options.waits)
		inode->fs->options.waits();
	pthread_mutex_lock(&r->lock);
	while (atomic_load(&inode->nr_reads))
		pthread_cond_wait(&r->ended, &r->lock);
	pthread_mutex_unlock(&r->lock);
}
