/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_META_H
#define FS_META_H

/*
 * Metadata blocks in the cache: what kind each one is, its checksum verified once when
 * it enters and stamped when its transaction is committed.  Knows the block head, not what follows it;
 * structure inside a block is validated by the layer that owns it, through meta_read()'s check.
 */
#include "core.h"

enum meta_kind {
	META_DATA,   /* file contents: no head, no crc */
	META_ITABLE, /* no head; each inode has its own crc (inode.c) */
	META_GDT,
	META_BLOCK_BITMAP,
	META_INODE_BITMAP,
	META_EXTENT,
	META_INDEX,
	META_DIR,
	META_SYMLINK,
	META_XATTR,
	META_XATTR_VALUE,
	META_LOG,
	META_NR_KINDS
};

/* Looks inside a block that has a good head and crc: 0 or -EUCLEAN. */
typedef int meta_check(const struct fs *fs, const void *data);

/* What a block that is read has to be. */
struct meta_expected {
	enum meta_kind kind;
	uint64_t owner;
	meta_check *check; /* may be NULL */
};

/*
 * Read and hold a metadata block.  When it enters the cache its head and crc are verified
 * and check is called, once.  0, -EUCLEAN, -ERANGE or -EIO.
 */
int meta_read(struct fs *fs, uint64_t block, const struct meta_expected *what,
	      struct bufio_buffer **ret_b);

/*
 * A hint that [first, first + nr) will be read, block of it first: begin to read them in one transfer, unless block
 * is cached already.  What lies past the device's end is left out.  Does not wait.
 */
void meta_read_ahead(struct fs *fs, uint64_t block, uint64_t first, uint64_t nr);

/*
 * Hold a block that was just allocated, zero but for its head.  Not yet dirty: the caller
 * goes on with txn_modify().  META_DATA and META_ITABLE give a block of zeroes.
 */
int meta_new(struct fs *fs, uint64_t block, enum meta_kind kind, uint64_t owner,
	     struct bufio_buffer **ret_b);

/* Mark a held buffer as file contents (a block that was metadata before it was freed). */
void meta_set_data(struct bufio_buffer *b);

/* Verify or stamp the head of a block outside the cache (mkfs, fsck, dump). */
int meta_verify_raw(const struct fs *fs, uint64_t block, enum meta_kind kind, uint64_t owner,
		    const void *data);
void meta_stamp_raw(uint32_t crc_seed, unsigned block_bytes, void *data);

uint32_t meta_magic(enum meta_kind kind); /* 0 for kinds without a head */

/* For the log, per held buffer */

/* Just allocated: what the disk has there means nothing.  Until meta_join(). */
bool meta_is_new(const struct bufio_buffer *b);
bool meta_is_data(const struct bufio_buffer *b);

/* The transaction that joined it last; 0: none. */
uint64_t meta_joined(const struct bufio_buffer *b);
void meta_join(struct bufio_buffer *b, uint64_t seq);

/* Note that its data belongs to a transaction: false if that was known. */
bool meta_add_data(struct bufio_buffer *b, uint64_t seq);

/* Nobody changes it now: put seq and crc into its head.  False: it has none. */
bool meta_stamp(const struct fs *fs, struct bufio_buffer *b, uint64_t seq);

/* The cache hooks for bufio_options, context: the struct fs; and what they keep per buffer. */
extern const struct bufio_callbacks meta_callbacks;
#define META_AUX_BYTES 24

#endif
