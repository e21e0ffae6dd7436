/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_ITABLE_H
#define FS_ITABLE_H

/*
 * The table of the inodes in memory: a hash by number, cut into shards with a lock each, and the
 * list of those whose atime is newer than on disk.  The table knows nothing of disks or references.
 * For inode.c and orphan.c only.
 */
#include "inode.h"

#define INODE_NR_SHARDS 32

struct inode_shard {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an inode is no longer LOADING */
	struct inode **buckets;
	size_t nr_buckets, nr_inodes; /* nr_buckets is a power of two */
	struct inode *times;	      /* atime is to be stored */
	struct inode **times_end;
	size_t nr_times;
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

struct inode_table {
	struct inode_shard shards[INODE_NR_SHARDS];
	struct freeing freeing;
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

/* freeing.c: its own lock only. */
void freeing_init(struct freeing *f);
void freeing_finish(struct freeing *f);
void freeing_begin(struct fs *fs, struct fs_freeing *one);
void freeing_end(struct fs *fs, struct fs_freeing *one);

/* Caller holds the shard's lock for all of these. */
struct inode *shard_find_locked(const struct inode_shard *s, uint64_t ino);
struct inode *shard_any_locked(const struct inode_shard *s); /* NULL: it is empty */
void shard_add_locked(struct inode_shard *s, struct inode *inode);
void shard_remove_locked(struct inode_shard *s, struct inode *inode);

void shard_add_times_locked(struct inode_shard *s, struct inode *inode);
struct inode *shard_pop_times_locked(struct inode_shard *s);

#endif
