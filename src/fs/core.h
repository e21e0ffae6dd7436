/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_CORE_H
#define FS_CORE_H

/*
 * What the files of the filesystem share: the mounted filesystem and its geometry.
 *
 * Layers, each calling only those to its right:
 *	namei -> acl -> xattr -> file dir symlink -> inode -> bmap ialloc -> btree balloc -> txn held -> log -> meta super -> bufio
 *
 * What keeps each field safe:
 *	I  set at mount, then never changed
 *	a  atomic operations
 *	G  group->lock
 *	S  super_lock
 *	T  the inode table's lock (inode.c)
 *
 * Lock order, outer first:
 *	1. txn (txn_start() before any of the following)
 *	2. rename_lock: only for renames of directories between directories
 *	3. inode locks: an ancestor before its descendants, else the lower inode number first;
 *	   namei.c says how it finds out
 *	4. group->lock, one at a time
 *	5. super_lock, an inode table shard's lock, then the ones of freeing.c and reads.c
 *	6. log->join_lock, the live set's
 *	7. bufio pins and whatever bufio takes
 */
#include "format.h"
#include "fs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* The numbers that describe an image, checked by super_decode(). */
struct geometry {
	unsigned block_bytes, block_shift;
	uint64_t nr_blocks;
	uint32_t blocks_per_group, inodes_per_group;
	uint32_t nr_groups, gdt_blocks;
	uint32_t inodes_per_block, itable_blocks; /* of one group */
	uint32_t groups_per_gdt_block;
	uint64_t log_start;
	uint32_t log_blocks;
};

/* In memory: one allocation group.  Padded so that two groups share no cache line. */
struct group {
	pthread_mutex_t lock;
	uint32_t free_blocks, free_inodes;   /* G */
	uint32_t itable_mark, nr_dirs;	     /* G */
	uint32_t nr_orphans;		     /* G */
	uint16_t flags;			     /* G  GROUP_* */
	uint32_t block_cursor, inode_cursor; /* G  where the last search ended */
	uint8_t *shadow;		     /* G  see held.h; NULL: none is held */
	uint32_t nr_held;		     /* G */
} __attribute__((aligned(64)));

struct held;
struct inode_table;
struct log;

/* Cache buffers at least: an operation holds and pins dozens, and several run at once. */
#define FS_MIN_BUFFERS 1024u

struct fs {
	struct bufio_client *bufio; /* I */
	struct geometry geo;	    /* I */
	struct fs_options options;  /* I */
	bool read_only;		    /* I */
	_Atomic bool stray_data; /* a  an inode was let go with data written in place, not synced */
	pthread_mutex_t stray_lock; /* held while that is made durable */
	_Atomic int stopped;	    /* a  why there are no changes any more; 0 */
	_Atomic bool shut;	    /* a  fs_shutdown(): nothing works any more */
	_Atomic bool atimes_off;    /* a  fs_set_access_times() */
	uint32_t crc_seed;	    /* I  crc of the uuid */
	uint64_t hash_seed;	    /* I */
	struct disk_super super;    /* S  as last written */
	pthread_mutex_t super_lock;
	struct group *groups;		    /* I pointer; geo.nr_groups of them */
	struct log *log;		    /* I; NULL: read only */
	struct held *held;		    /* I */
	struct bufio_engine *overlay;	    /* I; what a replay would give, for a read-only mount */
	pthread_rwlock_t txn_lock;	    /* shared: an operation runs; exclusive: none does */
	_Atomic uint64_t free_blocks;	    /* a  sum over the groups */
	_Atomic uint64_t unreserved_blocks; /* a  of them, promised to no running operation */
	uint64_t kept_blocks;		    /* I  for what may not fail: txn_start_kept() */
	_Atomic uint64_t free_inodes;	    /* a */
	pthread_mutex_t rename_lock;
	struct inode_table *inodes; /* I pointer */
	pthread_t commit_thread;    /* I */
	bool commit_running;	    /* I */
	pthread_mutex_t commit_lock;
	pthread_cond_t commit_wake;
	bool commit_stop; /* commit_lock */
};

/* Where things are; pure arithmetic.  See FORMAT.md section 2. */
static inline uint64_t geo_group_start(const struct geometry *g, uint32_t group)
{
	return (uint64_t)group * g->blocks_per_group;
}

static inline uint32_t geo_group_of_block(const struct geometry *g, uint64_t block)
{
	return (uint32_t)(block / g->blocks_per_group);
}

/* Blocks of this group: fewer in the last one. */
static inline uint32_t geo_group_blocks(const struct geometry *g, uint32_t group)
{
	uint64_t left = g->nr_blocks - geo_group_start(g, group);

	return left < g->blocks_per_group ? (uint32_t)left : g->blocks_per_group;
}

static inline uint64_t geo_super_copy(const struct geometry *g)
{
	return g->nr_groups > 1 ? g->blocks_per_group : g->nr_blocks - 1;
}

static inline uint64_t geo_block_bitmap(const struct geometry *g, uint32_t group)
{
	uint32_t before = group == 0 ? 1 + g->gdt_blocks : group == 1 ? 1 : 0;

	return geo_group_start(g, group) + before;
}

static inline uint64_t geo_inode_bitmap(const struct geometry *g, uint32_t group)
{
	return geo_block_bitmap(g, group) + 1;
}

static inline uint64_t geo_itable(const struct geometry *g, uint32_t group)
{
	return geo_block_bitmap(g, group) + 2;
}

/* Blocks at the start of a group that are never data. */
static inline uint32_t geo_fixed_blocks(const struct geometry *g, uint32_t group)
{
	return (uint32_t)(geo_itable(g, group) - geo_group_start(g, group)) + g->itable_blocks;
}

/* Is this run inside the filesystem, and outside every fixed area?  For checks of disk pointers. */
static inline bool geo_is_data(const struct geometry *g, uint64_t block, uint64_t count)
{
	uint64_t start, end;
	uint32_t group;

	if (count == 0 || block >= g->nr_blocks || count > g->nr_blocks - block)
		return false;
	group = geo_group_of_block(g, block);
	start = geo_group_start(g, group);
	end = start + geo_group_blocks(g, group);
	if (g->nr_groups == 1)
		end--; /* the superblock's copy */
	return block - start >= geo_fixed_blocks(g, group) && block < end && count <= end - block;
}

static inline uint64_t geo_nr_inodes(const struct geometry *g)
{
	return (uint64_t)g->nr_groups * g->inodes_per_group;
}

static inline uint32_t geo_group_of_ino(const struct geometry *g, uint64_t ino)
{
	return (uint32_t)((ino - 1) / g->inodes_per_group);
}

static inline uint32_t geo_index_of_ino(const struct geometry *g, uint64_t ino)
{
	return (uint32_t)((ino - 1) % g->inodes_per_group);
}

static inline uint64_t geo_inode_block(const struct geometry *g, uint64_t ino)
{
	return geo_itable(g, geo_group_of_ino(g, ino)) +
	       geo_index_of_ino(g, ino) / g->inodes_per_block;
}

static inline unsigned geo_inode_offset(const struct geometry *g, uint64_t ino)
{
	return geo_index_of_ino(g, ino) % g->inodes_per_block * INODE_BYTES;
}

static inline bool is_all_zero(const void *data, size_t size)
{
	const uint8_t *p = data;

	return size == 0 || (!p[0] && memcmp(p, p + 1, size - 1) == 0);
}

/* Before a wait for another thread's sync, or for much that is written. */
static inline void fs_waits(const struct fs *fs)
{
	if (fs->options.waits)
		fs->options.waits();
}

#endif
