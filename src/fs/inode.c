/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inodes in memory: found or loaded, made, stored.  Let go in inode_put.c.  Calls itable, ialloc.
 *
 * An inode is in the table from before it is read until it is idle and has to go, or after its last reference and
 * lookup are gone:
 *	LOADING	one thread reads it; those who want it wait and look again
 *	LIVE	referenced, or known to the kernel
 *	DYING	without references, lookups and a name: orphan.c frees it; nobody gets it, and
 *		inode_get() says -ESTALE at once, so that no one waits for the transactions of that
 * One that goes while it is idle leaves the count of its lookups in shard->known, and takes it back when it has been
 * loaded again.  Whether it has a name does not change meanwhile: to unlink it, or to link it, is to load it.  So one
 * without is known as that, and the last FORGET of it loads it to free it.
 * While the last reference of a LIVE inode is being dropped its atime may have to be stored first;
 * it keeps the reference that long, and whoever comes meanwhile simply takes another.
 */
#include "inode.h"
#include "ialloc.h"
#include "itable.h"
#include "log.h"
#include "super.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

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
		shard_unidle_locked(s, inode);
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

/* May it be had?  One without a name by who has looked it up before, and by who frees it. */
static bool may_live_locked(const struct inode_shard *s, const struct inode *inode,
			    enum inode_want want)
{
	return inode->mode &&
	       (inode->nlink || want == INODE_WANT_ORPHAN || known_count(&s->known, inode->ino));
}

/* From LOADING to LIVE, or it was never here. */
static int load(struct inode *inode, enum inode_want want)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);
	int r = slot_load(inode);

	pthread_mutex_lock(&s->lock);
	if (r == 0 && !may_live_locked(s, inode, want))
		r = -ESTALE;
	if (r < 0) {
		shard_remove_locked(s, inode);
	} else {
		inode->stage = INODE_LIVE;
		inode->lookups = known_count(&s->known, inode->ino);
		known_drop(&s->known, inode->ino, inode->lookups);
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (r < 0)
		inode_destroy(inode);
	return r;
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
	if (r > 0)
		r = load(inode, want);
	if (r == 0)
		*ret_inode = inode;
	return r;
}

bool inode_is_leaving(const struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);
	bool unknown;

	pthread_mutex_lock(&s->lock);
	unknown = !inode->lookups;
	pthread_mutex_unlock(&s->lock);
	return unknown && !inode->nlink && !inode->linkable;
}

int inode_get(struct fs *fs, uint64_t ino, struct inode **ret_inode)
{
	if (atomic_load(&fs->shut))
		return -EIO;
	return inode_get_any(fs, ino, INODE_WANT_NAMED, ret_inode);
}

void inode_ref(struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	inode->references++;
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
