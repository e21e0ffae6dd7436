/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making things durable: of the filesystem, of one inode.
 *
 * What a transaction makes reachable is its commit's affair.  What was written in place, to blocks a
 * file had already, is written here and flushed; a little of it rides in the record instead, if there
 * is one to be written anyway, and must, if the log has an older image of it.
 * Calls bmap, inode, txn, log and bufio.
 */
#include "bmap.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>

/* So many blocks written in place go into a record that is due. */
#define IN_RECORD 16u

/* A flush that failed may have lost what was acknowledged before: that is the end. */
static int flush_written(struct fs *fs)
{
	int r = bufio_flush_written(fs->bufio);

	if (r < 0)
		log_abort(fs->log, r);
	return r;
}

int fs_sync(struct fs *fs)
{
	int r, r_times;

	if (fs->read_only)
		return atomic_load(&fs->shut) ? -EIO : 0;
	fs_waits(fs);
	r_times = inode_store_times(fs);
	r = bufio_write_unpinned(fs->bufio, 0, fs->geo.nr_blocks);
	if (r == 0)
		r = log_commit_open(fs->log);
	if (r == 0)
		r = flush_written(fs);
	if (r == 0)
		r = log_error(fs->log);
	return r < 0 ? r : r_times;
}

/* Data of inodes that were let go: nobody knows where it is, so all is written. */
static int sync_stray(struct fs *fs)
{
	int r = 0;

	pthread_mutex_lock(&fs->stray_lock);
	if (atomic_exchange(&fs->stray_data, false)) {
		r = fs_sync(fs);
		if (r < 0)
			atomic_store(&fs->stray_data, true);
	}
	pthread_mutex_unlock(&fs->stray_lock);
	return r;
}

/* What one fsync() has to do. */
struct plan {
	struct inode *inode;
	uint64_t seq;	      /* to be durable */
	uint64_t from, to;    /* blocks written in place */
	struct mapping *runs; /* ... and where they are */
	size_t nr_runs, max_runs;
	uint64_t nr_blocks;
	bool live; /* one of them is in the log */
};

static int add_run(struct plan *p, const struct mapping *m)
{
	size_t more = p->max_runs ? p->max_runs * 2 : 16;
	struct mapping *runs;

	if (p->nr_runs == p->max_runs) {
		runs = reallocarray(p->runs, more, sizeof(*runs));
		if (!runs)
			return -ENOMEM;
		p->runs = runs;
		p->max_runs = more;
	}
	p->runs[p->nr_runs++] = *m;
	p->nr_blocks += m->count;
	for (uint64_t i = 0; i < m->count && !p->live; i++)
		p->live = log_is_live(p->inode->fs->log, m->physical + i);
	return 0;
}

static int find_runs(struct plan *p)
{
	uint64_t at = p->from;
	struct mapping m;
	int r = 0;

	while (at < p->to && r == 0) {
		r = bmap_lookup(p->inode, at, p->to - at, &m);
		if (r == 0 && m.physical && !m.unwritten)
			r = add_run(p, &m);
		at += m.count;
	}
	return r;
}

/* Let the record have what has to be in it, or all of a little. */
static int add_to_record(struct plan *p, struct txn *t, bool all)
{
	struct log *l = p->inode->fs->log;
	int r = 0;

	for (size_t i = 0; i < p->nr_runs; i++) {
		const struct mapping *m = &p->runs[i];

		for (uint64_t k = 0; k < m->count && r == 0; k++)
			if (all || log_is_live(l, m->physical + k))
				r = txn_add_data(t, m->physical + k, 1, NULL);
	}
	if (r == 0)
		p->seq = t->seq;
	if (all)
		p->nr_runs = 0;
	return r;
}

static int plan_locked(struct plan *p, struct txn *t)
{
	struct log *l = p->inode->fs->log;
	bool little;
	int r;

	r = find_runs(p);
	if (r < 0)
		return r;
	little = p->nr_blocks <= IN_RECORD && (p->live || p->seq > atomic_load(&l->durable_seq));
	return p->live || little ? add_to_record(p, t, little) : 0;
}

static int write_runs(const struct plan *p)
{
	struct bufio_client *c = p->inode->fs->bufio;
	int r = 0;

	if (p->nr_blocks > IN_RECORD)
		fs_waits(p->inode->fs);
	if (p->nr_runs == 1)
		return bufio_write_durably(c, p->runs[0].physical, p->runs[0].count);
	for (size_t i = 0; i < p->nr_runs && r == 0; i++)
		r = bufio_write_unpinned(c, p->runs[i].physical, p->runs[i].count);
	return r;
}

/* Take the range from the inode: writes from now on are the next fsync()'s. */
static int plan_data(struct plan *p)
{
	struct inode *inode = p->inode;
	struct txn t;
	int r;

	r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	p->from = inode->dirty_from;
	p->to = inode->dirty_to;
	r = plan_locked(p, &t);
	if (r == 0)
		inode->dirty_from = inode->dirty_to = 0;
	pthread_rwlock_unlock(&inode->lock);
	txn_end(&t);
	return r;
}

/*
 * A cut meanwhile threw away or pinned some of the data before it was written.  The cut itself must be durable
 * then, or a crash would bring the file back without it.  What rides in a record is not asked for again, but whoever
 * syncs before that is durable has to wait for it too.
 */
static int sync_data(struct plan *p)
{
	struct inode *inode = p->inode;
	int r;

	r = plan_data(p);
	if (r == 0)
		r = write_runs(p);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	if (inode->data_seq > p->seq)
		p->seq = inode->data_seq;
	inode->data_seq = p->seq;
	if (inode->meta_seq < p->seq)
		inode->meta_seq = p->seq;
	pthread_rwlock_unlock(&inode->lock);
	return 0;
}

static void give_back(const struct plan *p)
{
	struct inode *inode = p->inode;

	if (p->from >= p->to)
		return;
	pthread_rwlock_wrlock(&inode->lock);
	if (inode->dirty_from >= inode->dirty_to) {
		inode->dirty_from = p->from;
		inode->dirty_to = p->to;
	}
	if (p->from < inode->dirty_from)
		inode->dirty_from = p->from;
	if (p->to > inode->dirty_to)
		inode->dirty_to = p->to;
	pthread_rwlock_unlock(&inode->lock);
}

/* All but what a commit does, which p->seq tells. */
static int prepare(struct plan *p, bool datasync)
{
	struct inode *inode = p->inode;
	bool in_place;

	pthread_rwlock_rdlock(&inode->lock);
	p->seq = datasync ? inode->data_seq : inode->meta_seq;
	in_place = inode->dirty_from < inode->dirty_to;
	pthread_rwlock_unlock(&inode->lock);
	return in_place ? sync_data(p) : 0;
}

/* The rest; after it nothing is owed, or the range is the inode's again. */
static int finish(struct plan *p, int r)
{
	struct fs *fs = p->inode->fs;

	if (r == 0)
		r = log_commit(fs->log, p->seq);
	if (r == 0 && p->nr_runs)
		r = flush_written(fs);
	if (r < 0)
		give_back(p);
	return r;
}

static void lock_sync(struct inode *inode)
{
	if (pthread_mutex_trylock(&inode->sync_lock) == 0)
		return;
	fs_waits(inode->fs);
	pthread_mutex_lock(&inode->sync_lock);
}

int inode_sync(struct inode *inode, bool datasync)
{
	struct plan p = {.inode = inode};
	int r;

	lock_sync(inode);
	r = finish(&p, prepare(&p, datasync));
	pthread_mutex_unlock(&inode->sync_lock);
	free(p.runs);
	return r;
}

/*
 * What is to be written in place, and flushed, is done here.  1: what is left to do is to make the transaction *ret_seq
 * durable.  If that fails there is nothing to give back: it still has what was to be durable, or it is the end.
 */
static int sync_but_commit(struct inode *inode, bool datasync, uint64_t *ret_seq)
{
	struct plan p = {.inode = inode};
	int r;

	lock_sync(inode);
	r = prepare(&p, datasync);
	if (r < 0 || p.nr_runs)
		r = finish(&p, r);
	else
		r = 1;
	pthread_mutex_unlock(&inode->sync_lock);
	free(p.runs);
	*ret_seq = p.seq;
	return r;
}

/* From here on the inode is not let go: if it was before, that is known. */
static int get_to_sync(struct fs *fs, uint64_t ino, struct inode **ret_inode)
{
	int r = inode_get(fs, ino, ret_inode);

	if (r < 0)
		return r;
	r = sync_stray(fs);
	if (r < 0)
		inode_put(*ret_inode);
	return r;
}

static int sync_read_only(const struct fs *fs)
{
	return atomic_load(&fs->shut) ? -EIO : 0;
}

int fs_fsync(struct fs *fs, uint64_t ino, bool datasync)
{
	struct inode *inode;
	int r;

	if (fs->read_only)
		return sync_read_only(fs);
	r = get_to_sync(fs, ino, &inode);
	if (r < 0)
		return r;
	r = inode_sync(inode, datasync);
	inode_put(inode);
	return r;
}

int fs_fsync_start(struct fs *fs, struct fs_syncing *s)
{
	struct inode *inode;
	int r;

	if (fs->read_only)
		return sync_read_only(fs);
	r = get_to_sync(fs, s->ino, &inode);
	if (r < 0)
		return r;
	r = sync_but_commit(inode, s->datasync, &s->seq);
	inode_put(inode);
	return r == 1 ? log_commit_start(fs->log, s) : r;
}
