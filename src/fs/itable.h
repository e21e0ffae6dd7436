/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_ITABLE_H
#define FS_ITABLE_H

/*
 * The table of the inodes in memory: a hash by number, cut into shards with a lock each; in each the
 * list of those whose atime is newer than on disk, that of the idle ones, and the lookups of those that are not in
 * memory.  The table knows nothing of disks.  For the files of inodes only: inode, inode_put, atime, orphan, orphan_recover.
 *
 * Idle is what the kernel knows, is in no operation, and is on disk (or in the log's buffers) as it is in memory.  The
 * first of the list has been idle longest, and goes when there are too many.
 */
#include "inode.h"
#include "known.h"

#define INODE_NR_SHARDS 32

/* Idle ones that stay in memory, and those whose atime is not stored, in all shards: some 600 bytes each. */
#define INODE_MAX_IDLE	8192u
#define INODE_MAX_TIMES 8192u

TAILQ_HEAD(inode_list, inode);

struct inode_shard {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an inode is no longer LOADING */
	struct inode **buckets;
	size_t nr_buckets, nr_inodes; /* nr_buckets is a power of two */
	struct inode *times;	      /* atime is to be stored */
	struct inode **times_end;
	size_t nr_times;
	struct inode_list idle;
	size_t nr_idle;
	struct known
		known; /* of the numbers that are not in buckets, and of those that are LOADING */
} __attribute__((aligned(64)));

/*
 * What frees blocks and has begun to, oldest first, with numbers that rise.  Each is on the stack of its thread, so there
 * are never more than threads.
 */
struct freeing {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct fs_freeing *first;
	uint64_t last_number;
};

/* Where who waits for an inode's reads sleeps. */
struct reads {
	pthread_mutex_t lock; /* a leaf */
	pthread_cond_t ended;
};

struct inode_table {
	struct inode_shard shards[INODE_NR_SHARDS];
	struct freeing freeing;
	size_t max_idle; /* of each shard; set at the beginning, smaller in tests */

	struct reads reads;
	_Atomic size_t nr_times; /* in all shards: a sync looks here first */
};

/* inode_get(), or that of an inode which has no name any more too. */
enum inode_want {
	INODE_WANT_NAMED,
	INODE_WANT_ORPHAN,
};
int inode_get_any(struct fs *fs, uint64_t ino, enum inode_want want, struct inode **ret_inode);

/* An inode that is nowhere yet, all zero, with one reference.  NULL: no memory. */
struct inode *inode_create(struct fs *fs, uint64_t ino);
void inode_destroy(struct inode *inode);

struct inode_shard *inode_shard(struct fs *fs, uint64_t ino);

/* inode_put() that stores the times of no others. */
void inode_put_only(struct inode *inode);

/* atime.c */
bool inode_atime_is_dirty(struct inode *inode);

/* Store those atimes that are dirty, of so many inodes, in one transaction; the first error. */
int inode_store_times_of(struct fs *fs, struct inode **inodes, unsigned nr);

/* Its last reference is being dropped: store its atime.  One that cannot be stored is lost. */
void inode_store_last_time(struct inode *inode);

/* freeing.c: its own lock only. */
void freeing_init(struct freeing *f);
void freeing_finish(struct freeing *f);
void freeing_begin(struct fs *fs, struct fs_freeing *one);
void freeing_end(struct fs *fs, struct fs_freeing *one);

/* reads.c */
void reads_init(struct reads *r);
void reads_finish(struct reads *r); /* there are none any more */

/* Caller holds the shard's lock for all of these. */
struct inode *shard_find_locked(const struct inode_shard *s, uint64_t ino);
struct inode *shard_any_locked(const struct inode_shard *s); /* NULL: it is empty */
void shard_add_locked(struct inode_shard *s, struct inode *inode);
void shard_remove_locked(struct inode_shard *s, struct inode *inode);

/* It ends being idle, if it is: somebody wants it. */
void shard_unidle_locked(struct inode_shard *s, struct inode *inode);

/*
 * It is idle now.  If there are too many, returns the one that is to go: it is not in the table any more and the caller
 * destroys it.  NULL: none has to, or there is no memory to remember it by.
 */
struct inode *shard_idle_locked(struct inode_shard *s, struct inode *inode);

void shard_add_times_locked(struct inode_shard *s, struct inode *inode);
struct inode *shard_pop_times_locked(struct inode_shard *s);

#endif
