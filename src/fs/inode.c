/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inodes in memory: found or loaded, counted, stored, let go.  Calls itable, ialloc, orphan.
 *
 * An inode is in the table from before it is read until after its last reference is gone:
 *	LOADING	one thread reads it; those who want it wait and look again
 *	LIVE	referenced
 *	DYING	without references and without a name: orphan.c frees it; nobody gets it, and
 *		inode_get() says -ESTALE at once, so that no one waits for the transactions of that
 * While the last reference of a LIVE inode is being dropped its atime may have to be stored first;
 * it keeps the reference that long, and whoever comes meanwhile simply takes another.
 */
#include "inode.h"
#include "ialloc.h"
#include "itable.h"
#include "log.h"
#include "orphan.h"
#include "super.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#define DAY (24 * 60 * 60)

/* Times stored in one transaction: as many inodes, perhaps each in a table block of its own. */
#define TIMES_STEP 32

/* Read and check the table slot of inode->ino; mode 0: it is free. */
static int slot_load(struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct bufio_buffer *b;
	struct disk_inode d;
	int r;

	r = ialloc_table_block(fs, inode->ino, &b);
	if (r == -ENOENT) {
		inode->mode = 0;
		return 0;
	}
	if (r < 0)
		return r;
	memcpy(&d, (const uint8_t *)bufio_data(b) + geo_inode_offset(&fs->geo, inode->ino),
	       sizeof(d));
	bufio_release(b);
	r = inode_decode(fs, inode->ino, &d, inode);
	if (r < 0) {
		super_report(fs,
			     &(struct fs_error){.ino = inode->ino,
						.block = geo_inode_block(&fs->geo, inode->ino),
						.error = r,
						.function = "inode_decode",
						.line = __LINE__},
			     FS_CORRUPT);
		return r;
	}
	inode->orphan = inode->mode && (!inode->nlink || inode->state & INODE_STATE_TRUNCATE);
	/* for all we know the open transaction changed it */
	if (fs->log)
		inode->meta_seq = inode->data_seq = log_last_seq(fs->log);
	return 0;
}

static int load(struct inode *inode, enum inode_want want)
{
	int r;

	r = slot_load(inode);
	if (r < 0)
		return r;
	if (!inode->mode || (!inode->nlink && want != INODE_WANT_ORPHAN))
		return -ESTALE;
	return 0;
}

/* Look it up; if it is not there, put a LOADING one there for the caller to load. */
static int find_or_add(struct fs *fs, uint64_t ino, struct inode **ret_inode)
{
	struct inode_shard *s = inode_shard(fs, ino);
	struct inode *inode;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while ((inode = shard_find_locked(s, ino)) && inode->stage == INODE_LOADING)
		pthread_cond_wait(&s->changed, &s->lock);
	if (inode && inode->stage == INODE_DYING) {
		r = -ESTALE;
	} else if (inode) {
		inode->references++;
	} else {
		inode = inode_create(fs, ino);
		if (inode) {
			inode->stage = INODE_LOADING;
			shard_add_locked(s, inode);
			r = 1;
		} else {
			r = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (r >= 0)
		*ret_inode = inode;
	return r;
}

/* The end of LOADING: it is LIVE, or was never here. */
static void loaded(struct inode *inode, int result)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	if (result < 0)
		shard_remove_locked(s, inode);
	else
		inode->stage = INODE_LIVE;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (result < 0)
		inode_destroy(inode);
}

int inode_get_any(struct fs *fs, uint64_t ino, enum inode_want want, struct inode **ret_inode)
{
	struct inode *inode;
	int r;

	if (ino < INODE_ROOT || ino > geo_nr_inodes(&fs->geo))
		return -ESTALE;
	r = find_or_add(fs, ino, &inode);
	if (r < 0)
		return r;
	if (r > 0) {
		r = load(inode, want);
		loaded(inode, r);
		if (r < 0)
			return r;
	}
	*ret_inode = inode;
	return 0;
}

int inode_get(struct fs *fs, uint64_t ino, struct inode **ret_inode)
{
	if (atomic_load(&fs->shut))
		return -EIO;
	return inode_get_any(fs, ino, INODE_WANT_NAMED, ret_inode);
}

void inode_ref(struct inode *inode, uint64_t nr)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	inode->references += nr;
	pthread_mutex_unlock(&s->lock);
}

/* Do they differ in more than times and the crc? */
static bool differs(const struct disk_inode *a, const struct disk_inode *b)
{
	struct disk_inode x = *a;

	x.crc = b->crc;
	x.atime = b->atime;
	x.mtime = b->mtime;
	x.ctime = b->ctime;
	return memcmp(&x, b, sizeof(x)) != 0;
}

static void store_slot(struct txn *t, struct inode *inode, struct disk_inode *slot)
{
	struct disk_inode d;

	pthread_mutex_lock(&inode->time_lock);
	inode_encode(inode->fs, inode, &d);
	inode->atime_dirty = false;
	pthread_mutex_unlock(&inode->time_lock);
	inode->meta_seq = t->seq;
	if (differs(slot, &d))
		inode->data_seq = t->seq;
	*slot = d;
}

/* Do mount options or chattr +S and +D want its changes durable at once? */
static bool is_sync(const struct inode *inode)
{
	const struct fs_options *o = &inode->fs->options;

	if (o->sync || inode->flags & FS_SYNC_FL)
		return true;
	return S_ISDIR(inode->mode) && (o->dirsync || inode->flags & FS_DIRSYNC_FL);
}

/* The table block of an inode in use, joined. */
static int open_slot(struct txn *t, uint64_t ino, struct bufio_buffer **ret_b)
{
	int r;

	r = ialloc_table_block(t->fs, ino, ret_b);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	r = txn_modify(t, *ret_b);
	if (r < 0)
		bufio_release(*ret_b);
	return r;
}

int inode_prepare(struct txn *t, const struct inode *inode)
{
	struct bufio_buffer *b;
	int r;

	r = open_slot(t, inode->ino, &b);
	if (r == 0)
		bufio_release(b);
	return r;
}

int inode_store(struct txn *t, struct inode *inode)
{
	const struct geometry *g = &inode->fs->geo;
	struct bufio_buffer *b;
	int r;

	r = open_slot(t, inode->ino, &b);
	if (r < 0)
		return r;
	store_slot(
		t, inode,
		(struct disk_inode *)((uint8_t *)bufio_data(b) + geo_inode_offset(g, inode->ino)));
	bufio_release(b);
	t->sync |= is_sync(inode);
	return 0;
}

/* Times that reading changes */

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

	if (inode->fs->read_only || o->atime == FS_ATIME_NEVER || inode->flags & FS_NOATIME_FL ||
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

static bool atime_is_dirty(struct inode *inode)
{
	bool dirty;

	pthread_mutex_lock(&inode->time_lock);
	dirty = inode->atime_dirty;
	pthread_mutex_unlock(&inode->time_lock);
	return dirty;
}

static int store_times(struct fs *fs, struct inode **inodes, unsigned nr)
{
	struct txn t;
	int r, first = 0;

	r = txn_start(fs, 0, &t);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < nr; i++) {
		pthread_rwlock_wrlock(&inodes[i]->lock);
		r = atime_is_dirty(inodes[i]) && inodes[i]->mode ? inode_store(&t, inodes[i]) : 0;
		pthread_rwlock_unlock(&inodes[i]->lock);
		if (r < 0 && first == 0)
			first = r;
	}
	txn_end(&t);
	return first;
}

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
		r2 = store_times(fs, inodes, nr);
		if (r == 0)
			r = r2;
		for (unsigned i = 0; i < nr; i++)
			inode_put(inodes[i]);
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

/* The last reference */

/* Store the atime of an inode whose last reference is being dropped; one that cannot be stored is lost. */
static void store_last_time(struct inode *inode)
{
	if (store_times(inode->fs, &inode, 1) == 0)
		return;
	pthread_mutex_lock(&inode->time_lock);
	inode->atime_dirty = false;
	pthread_mutex_unlock(&inode->time_lock);
}

/* Drop nr of the references.  The caller holds the shard's lock, which is released. */
static void drop_locked(struct inode_shard *s, struct inode *inode, uint64_t nr)
{
	struct fs *fs = inode->fs;
	struct fs_freeing freeing;

	while (inode->references <= nr && inode->nlink && atime_is_dirty(inode)) {
		pthread_mutex_unlock(&s->lock);
		store_last_time(inode);
		pthread_mutex_lock(&s->lock);
	}
	if (inode->references > nr) {
		inode->references -= nr;
		pthread_mutex_unlock(&s->lock);
		return;
	}
	if (!inode->nlink) {
		inode->stage = INODE_DYING;
		freeing_begin(fs, &freeing);
		pthread_mutex_unlock(&s->lock);
		orphan_free(inode);
		freeing_end(fs, &freeing);
		return;
	}
	shard_remove_locked(s, inode);
	/* nobody remembers then which blocks of it are not durable */
	if (inode->dirty_from < inode->dirty_to)
		atomic_store(&fs->stray_data, true);
	pthread_mutex_unlock(&s->lock);
	inode_destroy(inode);
}

void inode_put(struct inode *inode)
{
	struct inode_shard *s;

	if (!inode)
		return;
	s = inode_shard(inode->fs, inode->ino);
	pthread_mutex_lock(&s->lock);
	drop_locked(s, inode, 1);
}

void inode_unref(struct fs *fs, uint64_t ino, uint64_t nr)
{
	struct inode_shard *s = inode_shard(fs, ino);
	struct inode *inode;

	pthread_mutex_lock(&s->lock);
	inode = shard_find_locked(s, ino);
	if (inode && inode->stage == INODE_LIVE)
		drop_locked(s, inode, nr);
	else
		pthread_mutex_unlock(&s->lock);
}

void inode_drop_all(struct fs *fs)
{
	struct inode *inode;

	for (unsigned i = 0; i < INODE_NR_SHARDS; i++) {
		struct inode_shard *s = &fs->inodes->shards[i];

		pthread_mutex_lock(&s->lock);
		while ((inode = shard_any_locked(s))) {
			drop_locked(s, inode, inode->references);
			pthread_mutex_lock(&s->lock);
		}
		pthread_mutex_unlock(&s->lock);
	}
}

/* New inodes */

/* Put a locked new one into the table.  Someone may be looking at its free slot just now: wait for that. */
static int add_new(struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);
	struct inode *other;

	pthread_mutex_lock(&s->lock);
	while ((other = shard_find_locked(s, inode->ino)) && other->stage == INODE_LOADING)
		pthread_cond_wait(&s->changed, &s->lock);
	if (!other)
		shard_add_locked(s, inode);
	pthread_mutex_unlock(&s->lock);
	return other ? -EUCLEAN : 0;
}

static void fill_new(struct inode *inode, const struct fs_new *what)
{
	uint32_t generation = inode->generation + 1;

	inode->generation = generation ? generation : 1;
	inode->mode = what->mode;
	inode->uid = what->uid;
	inode->gid = what->gid;
	if (S_ISCHR(what->mode) || S_ISBLK(what->mode))
		inode->special = (uint64_t)what->rdev_major << 32 | what->rdev_minor;
	inode->btime = inode->ctime = inode->mtime = inode->atime = fs_now();
}

/* Load the generation from the slot of a number just allocated, and make the inode. */
static int make_new(struct inode *inode, const struct fs_new *what)
{
	int r;

	r = slot_load(inode);
	if (r < 0)
		return r;
	if (inode->mode)
		return -EUCLEAN;
	fill_new(inode, what);
	pthread_rwlock_wrlock(&inode->lock);
	r = add_new(inode);
	if (r < 0)
		pthread_rwlock_unlock(&inode->lock);
	return r;
}

int inode_new(struct txn *t, uint64_t dir, const struct fs_new *what, struct inode **ret_inode)
{
	bool is_dir = S_ISDIR(what->mode);
	struct inode *inode;
	uint64_t ino;
	int r;

	r = ialloc_alloc(t, dir, is_dir, &ino);
	if (r < 0)
		return r;
	inode = inode_create(t->fs, ino);
	r = inode ? make_new(inode, what) : -ENOMEM;
	if (r < 0) {
		if (inode)
			inode_destroy(inode);
		ialloc_free(t, ino, is_dir);
		return r;
	}
	*ret_inode = inode;
	return 0;
}

int inode_orphan(struct txn *t, struct inode *inode, int delta)
{
	bool orphan = delta > 0 || inode->state & INODE_STATE_TRUNCATE;
	int r;

	if (orphan == inode->orphan)
		return 0;
	r = ialloc_orphan(t, inode->ino, delta);
	if (r == 0)
		inode->orphan = orphan;
	return r;
}

void inode_attr(struct inode *inode, struct fs_attr *ret_attr)
{
	bool device = S_ISCHR(inode->mode) || S_ISBLK(inode->mode);

	*ret_attr = (struct fs_attr){
		.ino = inode->ino,
		.generation = inode->generation,
		.mode = inode->mode,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.flags = inode->flags,
		.projid = inode->projid,
		.rdev_major = device ? (uint32_t)(inode->special >> 32) : 0,
		.rdev_minor = device ? (uint32_t)inode->special : 0,
		.size = inode->size,
		.blocks = inode->blocks << (inode->fs->geo.block_shift - 9),
		.mtime = inode->mtime,
		.ctime = inode->ctime,
		.btime = inode->btime,
	};
	pthread_mutex_lock(&inode->time_lock);
	ret_attr->atime = inode->atime;
	pthread_mutex_unlock(&inode->time_lock);
}
