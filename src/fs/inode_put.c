/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Letting go of inodes: references, lookups, and the access times that wait to be stored.  Calls orphan, atime, inode,
 * itable.
 */
#include "itable.h"
#include "orphan.h"

/* Times stored in one transaction: as many inodes, perhaps each in a table block of its own. */
#define TIMES_STEP 32

/* Nobody can have it any more.  The caller holds the shard's lock, which is released. */
static void free_locked(struct inode_shard *s, struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct fs_freeing freeing;

	inode->stage = INODE_DYING;
	freeing_begin(fs, &freeing);
	pthread_mutex_unlock(&s->lock);
	orphan_free(inode);
	freeing_end(fs, &freeing);
}

/* Can it be made again from its table block and the number of its lookups? */
static bool can_be_idle(struct inode *inode)
{
	return !inode->linkable && inode->lookups <= KNOWN_MAX && !inode_atime_is_dirty(inode);
}

/* No operation has it any more.  The caller holds the shard's lock, which is released. */
static void unused_locked(struct inode_shard *s, struct inode *inode)
{
	struct inode *gone = NULL;

	if (!inode->lookups && !inode->nlink) {
		free_locked(s, inode);
		return;
	}
	if (!inode->lookups) {
		shard_remove_locked(s, inode);
		gone = inode;
	} else if (can_be_idle(inode)) {
		gone = shard_idle_locked(s, inode);
	}
	/* nobody remembers then which blocks of it are not durable */
	if (gone && gone->dirty_from < gone->dirty_to)
		atomic_store(&gone->fs->stray_data, true);
	pthread_mutex_unlock(&s->lock);
	if (gone)
		inode_destroy(gone);
}

/* Drop a reference.  The caller holds the shard's lock, which is released. */
static void put_locked(struct inode_shard *s, struct inode *inode)
{
	while (inode->references == 1 && !inode->lookups && inode->nlink &&
	       inode_atime_is_dirty(inode)) {
		pthread_mutex_unlock(&s->lock);
		inode_store_last_time(inode);
		pthread_mutex_lock(&s->lock);
	}
	if (--inode->references)
		pthread_mutex_unlock(&s->lock);
	else
		unused_locked(s, inode);
}

void inode_put_only(struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	put_locked(s, inode);
}

void inode_tell(struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	inode->lookups++;
	if (--inode->references)
		pthread_mutex_unlock(&s->lock);
	else
		unused_locked(s, inode);
}

/* The caller has a reference, and holds the shard's lock, which is released. */
static void forget_locked(struct inode_shard *s, struct inode *inode, uint64_t nr_lookups)
{
	inode->lookups -= nr_lookups < inode->lookups ? nr_lookups : inode->lookups;
	put_locked(s, inode);
}

/*
 * It is not in memory, or was not a moment ago, and is to be freed with its last lookup.  Who waits for that must not find
 * it not begun while it is read.  One that cannot be read stays an orphan on disk.
 */
static void forget_nameless(struct fs *fs, uint64_t ino, uint64_t nr_lookups)
{
	struct inode_shard *s = inode_shard(fs, ino);
	struct fs_freeing freeing;
	struct inode *inode;
	int r;

	freeing_begin(fs, &freeing);
	r = inode_get_any(fs, ino, INODE_WANT_ORPHAN, &inode);
	pthread_mutex_lock(&s->lock);
	if (r == 0) {
		forget_locked(s, inode, nr_lookups);
	} else {
		known_drop(&s->known, ino, nr_lookups);
		pthread_mutex_unlock(&s->lock);
	}
	freeing_end(fs, &freeing);
}

void inode_forget(struct fs *fs, uint64_t ino, uint64_t nr_lookups)
{
	struct inode_shard *s = inode_shard(fs, ino);
	struct inode *inode;

	pthread_mutex_lock(&s->lock);
	inode = shard_find_locked(s, ino);
	if (inode && inode->stage == INODE_LIVE) {
		inode->references++;
		shard_unidle_locked(s, inode);
		forget_locked(s, inode, nr_lookups);
	} else if (known_is_nameless(&s->known, ino)) {
		pthread_mutex_unlock(&s->lock);
		forget_nameless(fs, ino, nr_lookups);
	} else {
		known_drop(&s->known, ino, nr_lookups);
		pthread_mutex_unlock(&s->lock);
	}
}

void inode_drop_all(struct fs *fs)
{
	struct inode *inode;

	for (unsigned i = 0; i < INODE_NR_SHARDS; i++) {
		struct inode_shard *s = &fs->inodes->shards[i];

		pthread_mutex_lock(&s->lock);
		while ((inode = shard_any_locked(s))) {
			shard_unidle_locked(s, inode);
			inode->lookups = 0;
			inode->references = 1;
			put_locked(s, inode);
			pthread_mutex_lock(&s->lock);
		}
		known_finish(&s->known);
		pthread_mutex_unlock(&s->lock);
	}
}

/* Times */

/* Take up to TIMES_STEP inodes off the list, each with a reference. */
static unsigned take_times(struct inode_shard *s, struct inode **ret)
{
	struct inode *inode;
	unsigned nr = 0;

	pthread_mutex_lock(&s->lock);
	while (nr < TIMES_STEP && (inode = shard_pop_times_locked(s))) {
		if (inode->stage != INODE_LIVE)
			continue;
		inode->references++;
		shard_unidle_locked(s, inode);
		ret[nr++] = inode;
	}
	pthread_mutex_unlock(&s->lock);
	return nr;
}

static size_t times_in_shard(struct inode_shard *s)
{
	size_t nr;

	pthread_mutex_lock(&s->lock);
	nr = s->nr_times;
	pthread_mutex_unlock(&s->lock);
	return nr;
}

static int store_shard_times(struct fs *fs, struct inode_shard *s)
{
	struct inode *inodes[TIMES_STEP];
	size_t left = times_in_shard(s); /* not more: readers may add to the list for ever */
	unsigned nr;
	int r = 0, r2;

	while (left && (nr = take_times(s, inodes))) {
		r2 = inode_store_times_of(fs, inodes, nr);
		if (r == 0)
			r = r2;
		for (unsigned i = 0; i < nr; i++)
			inode_put_only(inodes[i]);
		left = left > nr ? left - nr : 0;
	}
	return r;
}

int inode_store_times(struct fs *fs)
{
	int r = 0, r2;

	if (fs->read_only || !fs->inodes->nr_times)
		return 0;
	for (unsigned i = 0; i < INODE_NR_SHARDS; i++) {
		r2 = store_shard_times(fs, &fs->inodes->shards[i]);
		if (r == 0)
			r = r2;
	}
	return r;
}

void inode_put(struct inode *inode)
{
	struct inode_shard *s;
	struct fs *fs;

	if (!inode)
		return;
	fs = inode->fs;
	s = inode_shard(fs, inode->ino);
	inode_put_only(inode);
	/* they cannot be idle before; an error is found again by the next sync */
	if (fs->inodes->nr_times > INODE_MAX_TIMES) {
		/* for an operation that perhaps waits for reads that this thread has started */
		fs_waits(fs);
		store_shard_times(fs, s);
	}
}
