/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_INODE_H
#define FS_INODE_H

/*
 * Inodes in memory: at most one struct inode per number.
 *
 * inode_get() finds or loads it, inode_lock() in the right order, inode_store() after a change,
 * inode_put().  A caller has a *reference* inside an operation; from fs_lookup to fs_forget the kernel has
 * *lookups*, which keep an inode with nlink 0 from being freed but not its struct in memory: of those
 * that are in no operation only the last used stay (itable.h), the others are loaded again from their table blocks.
 * When the last reference and lookup of an inode with nlink 0 are gone, its blocks and number are freed
 * (inode_put() starts transactions of its own for that and for times, so it must be called outside a txn and without
 * locks).
 *
 *	L  inode->lock: shared to read, exclusive to change
 *	I  fixed while referenced
 *	T  the inode table's lock
 */
#include "disk_time.h"
#include "txn.h"

#include <sys/queue.h>

enum inode_stage {
	INODE_LIVE,
	INODE_LOADING, /* one thread reads it, others wait */
	INODE_DYING,   /* being freed: nobody can have it any more */
};

struct inode {
	struct fs *fs; /* I */
	uint64_t ino;  /* I */
	pthread_rwlock_t lock;
	uint64_t references;	   /* T  operations that have it */
	uint64_t lookups;	   /* T  of the kernel; of a LOADING one they are not here yet */
	struct inode *next;	   /* T  hash chain */
	enum inode_stage stage;	   /* T */
	struct inode *times_next;  /* T  list of those whose atime is to be stored */
	struct inode **times_link; /* T  what points to this one in it; NULL: not in it */
	TAILQ_ENTRY(inode) idle;   /* T */
	bool is_idle;		   /* T  it is in the list of idle ones */
	/* as decoded from the table; inode_store() writes them back */
	uint32_t mode, nlink, uid, gid, flags, generation, nr_entries, state; /* L */
	uint32_t projid;						      /* L */
	uint64_t size, blocks;						      /* L */
	struct timespec atime, mtime, ctime, btime; /* L; atime also under time_lock */
	uint64_t xattr_block, special, parent;	    /* L */
	uint8_t data_format, xattr_bytes;	    /* L */
	uint8_t tail[INODE_TAIL_BYTES];		    /* L */
	bool orphan;				    /* L  counted in its group's nr_orphans */
	bool linkable; /* L  it never had a name, and may get one: make.c */
	/* L  the transactions that last changed it, and anything but its times */
	uint64_t meta_seq, data_seq;
	/* blocks of it that were written in place since it was synced: L exclusive, or shared with sync_lock */
	uint64_t dirty_from, dirty_to;
	pthread_mutex_t sync_lock;   /* one fs_fsync() at a time; taken before all others */
	_Atomic unsigned nr_reads;   /* a  that go on without the lock: reads.c */
	struct dir_cache *dir_cache; /* L  dir.c's knowledge of free space; NULL: none */
	pthread_mutex_t time_lock;   /* atime, which readers change */
	bool atime_dirty; /* time_lock: newer than on disk, stored at sync and at the last put */
};

int inode_table_create(struct fs *fs);
void inode_table_destroy(struct fs *fs);

/* 0; -ESTALE: not in use, or without a name and being freed; -EUCLEAN: corrupt; -EIO: also after fs_shutdown(). */
int inode_get(struct fs *fs, uint64_t ino, struct inode **ret_inode);
void inode_put(struct inode *inode);

/* Is it freed as soon as those are done who have it now?  The caller holds its lock. */
bool inode_is_leaving(const struct inode *inode);
void inode_ref(struct inode *inode); /* caller has one already */

/* The caller's reference becomes a lookup, which inode_forget() gives back.  Any locks may be held but the inode's. */
void inode_tell(struct inode *inode);
void inode_forget(struct fs *fs, uint64_t ino, uint64_t nr_lookups);

/*
 * Wait until the inodes whose freeing had begun before are free.  False: there were none.  The caller is in no txn, holds
 * no lock and frees nothing itself.
 */
bool inode_wait_freeing(struct fs *fs);

/* What others freed a third may take: so often who needs several steps tries. */
#define ROOM_TRIES 16u

/* The same, and txn_make_room(): true if it is worth trying again after -ENOSPC. */
bool inode_make_room(struct fs *fs);

/*
 * Before what takes nr_blocks and what their map needs: that, if there seem to be fewer.  To wait for room between two
 * parts would commit the first one alone, which a power cut would keep.
 */
void inode_gather_room(struct fs *fs, uint64_t nr_blocks);

/*
 * At unmount: drop all lookups.  Inodes without a name are freed if they are in memory, the others are orphans from now on.
 * For fs_unmount(), before its last flush.
 */
void inode_drop_all(struct fs *fs);

/*
 * Take a new number and make its inode, referenced and locked exclusively, with times, generation,
 * mode, uid, gid and device number as in what, data_format none, nlink 0, and nothing stored yet.
 * What a setgid directory hands down is the caller's to put into what.  If the caller cannot
 * give it a name after all: inode_orphan(t, inode, 1), inode_store(), unlock, txn_stop(),
 * inode_put() frees it.
 */
int inode_new(struct txn *t, uint64_t dir, const struct fs_new *what, struct inode **ret_inode);

/*
 * Its table block is read and in the transaction, so that inode_store() cannot fail any more: before the first change of
 * what belongs to the inode but is not in it, or others would be told of half of that.  0 or error.
 */
int inode_prepare(struct txn *t, const struct inode *inode);

/* Write it to its table block; sets t->sync if its changes are to be durable at once.  Caller holds the lock exclusively. */
int inode_store(struct txn *t, struct inode *inode);

/*
 * Decode and check / encode one table slot; pure, also for fsck and dump.  0 or -EUCLEAN; a free slot
 * gives mode 0.  Only the fields of the disk inode are set in ret, also when the result is not 0.
 */
int inode_decode(const struct fs *fs, uint64_t ino, const struct disk_inode *d, struct inode *ret);
int inode_decode_unsummed(const struct fs *fs, uint64_t ino, const struct disk_inode *d,
			  struct inode *ret); /* the crc is the caller's affair */
uint32_t inode_crc(const struct fs *fs, uint64_t ino, const struct disk_inode *d);
void inode_encode(const struct fs *fs, const struct inode *inode, struct disk_inode *d);

void inode_attr(struct inode *inode, struct fs_attr *ret_attr); /* caller holds the lock */

/*
 * nlink fell to 0 or TRUNCATE was set (delta 1): count the orphan, once for both.  Or nlink rose from
 * 0 (delta -1): count it no more, unless TRUNCATE is set.
 */
int inode_orphan(struct txn *t, struct inode *inode, int delta);

/* At mount: free or finish all orphans that a crash left. */
int inode_recover_orphans(struct fs *fs);

/* The inode was read: atime as the mount options say, in memory.  Caller holds the lock, shared or not. */
void inode_touch_atime(struct inode *inode);

/*
 * A read that goes on when the caller has released the lock, which it holds now.  It keeps neither the lock nor a
 * reference: who takes blocks from the inode, or destroys it, waits for all of them.  The end may come from a thread that
 * completes I/O; the inode may be gone when it returns.  reads.c.
 */
void inode_lock_to_read(struct inode *inode); /* shared */
void inode_read_begin(struct inode *inode);
void inode_read_end(struct inode *inode);
void inode_wait_reads(
	struct inode *inode); /* caller holds the lock exclusively, or destroys the inode */

/* Data and metadata of it are durable: fs_fsync().  Caller is in no txn and holds no lock.  sync.c. */
int inode_sync(struct inode *inode, bool datasync);

/* Store atimes that are newer in memory; for fs_sync() and unmount. */
int inode_store_times(struct fs *fs);

/* The most bytes a file can have. */
uint64_t inode_max_size(const struct fs *fs);

/* Bytes of the tail that hold data. */
static inline unsigned inode_data_bytes(const struct inode *inode)
{
	return INODE_TAIL_BYTES - inode->xattr_bytes;
}

#endif
