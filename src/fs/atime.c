/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Access times, which reading changes: kept in memory, stored at sync, when there are too many, and with the last
 * reference of an inode (inode_put.c).  Calls inode and txn.
 */
#include "itable.h"

#include <linux/fs.h>
#include <sys/stat.h>

#define DAY (24 * 60 * 60)

/* Is a not later than b? */
static bool time_before_or_at(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

static bool atime_is_old(const struct inode *inode, struct timespec now)
{
	const struct timespec *a = &inode->atime;

	if (inode->fs->options.atime == FS_ATIME_STRICT)
		return !time_before_or_at(&now, a);
	return a->tv_sec + DAY <= now.tv_sec || time_before_or_at(a, &inode->mtime) ||
	       time_before_or_at(a, &inode->ctime);
}

void inode_touch_atime(struct inode *inode)
{
	const struct fs_options *o = &inode->fs->options;
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);
	struct timespec now;
	bool first = false;

	if (inode->fs->read_only || atomic_load(&inode->fs->atimes_off) ||
	    o->atime == FS_ATIME_NEVER || inode->flags & FS_NOATIME_FL ||
	    (o->nodiratime && S_ISDIR(inode->mode)))
		return;
	now = fs_now();
	pthread_mutex_lock(&inode->time_lock);
	if (atime_is_old(inode, now)) {
		inode->atime = now;
		first = !inode->atime_dirty;
		inode->atime_dirty = true;
	}
	pthread_mutex_unlock(&inode->time_lock);
	if (!first)
		return;
	pthread_mutex_lock(&s->lock);
	shard_add_times_locked(s, inode);
	pthread_mutex_unlock(&s->lock);
}

void fs_set_access_times(struct fs *fs, bool on)
{
	atomic_store(&fs->atimes_off, !on);
}

bool inode_atime_is_dirty(struct inode *inode)
{
	bool dirty;

	pthread_mutex_lock(&inode->time_lock);
	dirty = inode->atime_dirty;
	pthread_mutex_unlock(&inode->time_lock);
	return dirty;
}

int inode_store_times_of(struct fs *fs, struct inode **inodes, unsigned nr)
{
	struct txn t;
	int r, first = 0;

	r = txn_start(fs, 0, &t);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < nr; i++) {
		pthread_rwlock_wrlock(&inodes[i]->lock);
		r = inode_atime_is_dirty(inodes[i]) && inodes[i]->mode ? inode_store(&t, inodes[i])
								       : 0;
		pthread_rwlock_unlock(&inodes[i]->lock);
		if (r < 0 && first == 0)
			first = r;
	}
	txn_end(&t);
	return first;
}

void inode_store_last_time(struct inode *inode)
{
	if (inode_store_times_of(inode->fs, &inode, 1) == 0)
		return;
	pthread_mutex_lock(&inode->time_lock);
	inode->atime_dirty = false;
	pthread_mutex_unlock(&inode->time_lock);
}
