/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_LOG_RECORD_H
#define FS_LOG_RECORD_H

/*
 * The bytes of a log record, FORMAT.md section 10: made, checked, taken apart.  Pure; no I/O, no locks.
 *
 * A record is made in three steps: record_size() of all its images, memory for that, record_build().
 */
#include "core.h"

#define RECORD_PIECES 64u /* of a block */

/* For the log's first block; what is written from there on has all numbers above. */
#define LOG_SEQ_MAX (UINT64_C(1) << 62)

/* The check wants so many to be left, so that what it lets pass can be mounted. */
#define LOG_SEQ_SPARE (UINT64_C(1) << 34)
bool log_block_is_good(const struct geometry *g, const struct disk_log *d);

/* A block as it is to be after the transaction, and which 64ths of it changed. */
struct image_of_block {
	uint64_t block, mask;
	const uint8_t *data; /* the whole block */
};

struct record_place {
	uint64_t seq;
	uint32_t offset; /* of the record in the log, in blocks */
	uint64_t tail_seq;
	uint32_t tail_offset;
};

static inline unsigned record_piece_bytes(const struct geometry *g)
{
	return g->block_bytes / RECORD_PIECES;
}

/* Which pieces of two images of a block differ. */
uint64_t record_diff(const struct geometry *g, const uint8_t *before, const uint8_t *after);

/* In blocks. */
uint32_t record_size(const struct geometry *g, const struct image_of_block *images, size_t nr);

/* record: record_size() blocks. */
void record_build(const struct fs *fs, const struct record_place *place,
		  const struct image_of_block *images, size_t nr, uint8_t *record);

/*
 * Is this the first block of the record of seq at offset?  Its size in blocks, or 0.  The
 * rest of it has to be read for record_is_good().
 */
uint32_t record_begins(const struct fs *fs, const uint8_t *block, uint32_t offset, uint64_t seq);

/* All of it arrived.  record: as many blocks as record_begins() said. */
bool record_is_good(const struct fs *fs, const uint8_t *record, uint32_t nr_blocks);

/*
 * Call apply for each image of a good record, with its pieces one behind the other.  0, what
 * apply gave, or -EUCLEAN for a record that nobody honest wrote.
 */
typedef int record_apply(void *context, uint64_t block, uint64_t mask, const uint8_t *pieces);
int record_walk(const struct fs *fs, const uint8_t *record, uint32_t nr_blocks, record_apply *apply,
		void *context);

/* Put pieces where they belong in a block. */
void record_patch(const struct geometry *g, uint64_t mask, const uint8_t *pieces, uint8_t *block);

#endif
