/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FILE_H
#define FS_FILE_H

/*
 * The bytes of a regular file: read.c, write.c, truncate.c, fallocate.c; and how other inodes' data is freed and
 * symlinks are kept.  fs_read() and fs_write() are here.
 */
#include "bmap.h"
#include "inode.h"

/*
 * Set the size.  Shrinking is done in steps of their own transactions (TRUNCATE is set between
 * them), so the caller is in no txn and holds no lock.  Bytes past the old size read as zero
 * after growing.  mtime and ctime become now.
 */
int file_truncate(struct inode *inode, uint64_t size);

/* Do the steps that are left of a truncate that was interrupted or is going on.  As above: no txn, no lock. */
int file_finish_truncate(struct inode *inode);

/* Free all blocks of an inode that has no names left (any type), in steps.  For inode_put(). */
int file_free_blocks(struct inode *inode);

/* Of one whose data is freed: its extended attributes too.  xattr_free.c. */
int xattr_free(struct inode *inode);

/* Contents in cached blocks: file_data.c. */
struct data_range {
	uint64_t logical;     /* of the block in the file */
	unsigned from, bytes; /* in the block */
	const uint8_t *src;
	bool fresh; /* the block holds nothing yet: the rest of it becomes zero */
};

/*
 * Write to a block of the file; the inode's lock is held exclusively.  What the transaction makes
 * reachable is durable with it; what is written in place is noted in the inode for fs_fsync().
 */
int data_write(struct txn *t, struct inode *inode, uint64_t block, const struct data_range *range);

/* The block of the file was written in place: fs_fsync() has to see to it. */
void data_note_in_place(struct inode *inode, uint64_t logical);

/* Whole blocks that adjoin in the file and on the device, in lent memory: file_behind.c. */
struct data_lent {
	uint64_t logical, nr;
	const uint8_t *src;
	bool fresh;
	struct fs_loan *loan;
};

/*
 * Write those at the beginning of the run that can go to the device past the cache, as data_write() would.  Returns how
 * many: 0 if they are not worth a transfer; or error.
 */
int data_write_behind(struct txn *t, struct inode *inode, uint64_t block,
		      const struct data_lent *run);

/* Zero bytes of the file that are in one block, if that is mapped, written and they are not zero.  Not inline ones. */
int file_zero_part(struct txn *t, struct inode *inode, uint64_t from, unsigned bytes);

/* Zero from byte `from` of the file to the end of its block, if that is mapped, written and not zero. */
int file_zero_tail(struct txn *t, struct inode *inode, uint64_t from);

/* Move inline contents to a block: takes one block, and one reserved.  0, -ENOSPC or error. */
int file_leave_inline(struct txn *t, struct inode *inode);

/* Symlink targets: symlink.c.  store is called on a new, locked inode. */
#define SYMLINK_BLOCKS 5
int symlink_store(struct txn *t, struct inode *inode, const char *target);
ssize_t symlink_load(struct inode *inode, char *target, size_t size);

#endif
