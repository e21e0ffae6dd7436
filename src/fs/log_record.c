/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a log record: see log_record.h. */
#include "log_record.h"
#include "crc.h"
#include "disk_time.h"

#include <errno.h>
#include <string.h>

bool log_block_is_good(const struct geometry *g, const struct disk_log *d)
{
	uint64_t seq = le64_get(d->tail_seq);
	uint32_t offset = le32_get(d->tail_offset);

	return seq && seq < LOG_SEQ_MAX && offset && offset < g->log_blocks;
}

uint64_t record_diff(const struct geometry *g, const uint8_t *before, const uint8_t *after)
{
	unsigned piece = record_piece_bytes(g);
	uint64_t mask = 0;

	for (unsigned i = 0; i < RECORD_PIECES; i++) {
		if (memcmp(before + i * piece, after + i * piece, piece) != 0)
			mask |= UINT64_C(1) << i;
	}
	return mask;
}

/* Where the pieces begin. */
static size_t pieces_offset(const struct geometry *g, size_t nr_tags)
{
	size_t piece = record_piece_bytes(g);
	size_t bytes = sizeof(struct disk_record) + nr_tags * sizeof(struct disk_tag);

	return (bytes + piece - 1) / piece * piece;
}

uint32_t record_size(const struct geometry *g, const struct image_of_block *images, size_t nr)
{
	size_t bytes = pieces_offset(g, nr);

	for (size_t i = 0; i < nr; i++)
		bytes += (size_t)__builtin_popcountll(images[i].mask) * record_piece_bytes(g);
	return (uint32_t)((bytes + g->block_bytes - 1) >> g->block_shift);
}

static uint32_t record_crc(const struct fs *fs, const uint8_t *record, uint32_t nr_blocks)
{
	const size_t before = offsetof(struct disk_head, crc), behind = before + sizeof(le32);
	const le32 zero = {{0}};
	uint32_t crc;

	crc = crc32c(fs->crc_seed, record, before);
	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, record + behind, ((size_t)nr_blocks << fs->geo.block_shift) - behind);
}

static uint8_t *put_pieces(const struct geometry *g, const struct image_of_block *image,
			   uint8_t *out)
{
	unsigned piece = record_piece_bytes(g);

	for (uint64_t mask = image->mask; mask; mask &= mask - 1) {
		memcpy(out, image->data + (unsigned)__builtin_ctzll(mask) * piece, piece);
		out += piece;
	}
	return out;
}

void record_build(const struct fs *fs, const struct record_place *place,
		  const struct image_of_block *images, size_t nr, uint8_t *record)
{
	const struct geometry *g = &fs->geo;
	uint32_t nr_blocks = record_size(g, images, nr);
	struct disk_record *d = (struct disk_record *)record;
	struct disk_tag *tags = (struct disk_tag *)(d + 1);
	uint8_t *out = record + pieces_offset(g, nr);

	memset(record, 0, (size_t)(out - record));
	for (size_t i = 0; i < nr; i++) {
		tags[i] = (struct disk_tag){le64_make(images[i].block), le64_make(images[i].mask)};
		out = put_pieces(g, &images[i], out);
	}
	memset(out, 0, (size_t)(record + ((size_t)nr_blocks << g->block_shift) - out));
	d->head = (struct disk_head){.magic = le32_make(MAGIC_RECORD),
				     .block = le64_make(g->log_start + place->offset),
				     .seq = le64_make(place->seq)};
	d->nr_blocks = le32_make(nr_blocks);
	d->nr_tags = le32_make((uint32_t)nr);
	d->tail_seq = le64_make(place->tail_seq);
	d->tail_offset = le32_make(place->tail_offset);
	d->time = time_encode(fs_now());
	d->head.crc = le32_make(record_crc(fs, record, nr_blocks));
}

uint32_t record_begins(const struct fs *fs, const uint8_t *block, uint32_t offset, uint64_t seq)
{
	const struct geometry *g = &fs->geo;
	const struct disk_record *d = (const struct disk_record *)block;
	uint32_t nr_blocks = le32_get(d->nr_blocks);

	if (le32_get(d->head.magic) != MAGIC_RECORD || le64_get(d->head.seq) != seq ||
	    le64_get(d->head.block) != g->log_start + offset || le64_get(d->head.owner) != 0)
		return 0;
	return nr_blocks <= g->log_blocks - offset ? nr_blocks : 0;
}

bool record_is_good(const struct fs *fs, const uint8_t *record, uint32_t nr_blocks)
{
	const struct disk_record *d = (const struct disk_record *)record;

	return le32_get(d->head.crc) == record_crc(fs, record, nr_blocks);
}

/* A block that a record may change: never the superblock or the log. */
static bool may_hold(const struct geometry *g, uint64_t block)
{
	return block != 0 && block < g->nr_blocks && block != geo_super_copy(g) &&
	       (block < g->log_start || block >= g->log_start + g->log_blocks);
}

int record_walk(const struct fs *fs, const uint8_t *record, uint32_t nr_blocks, record_apply *apply,
		void *context)
{
	const struct geometry *g = &fs->geo;
	const struct disk_record *d = (const struct disk_record *)record;
	const struct disk_tag *tags = (const struct disk_tag *)(d + 1);
	size_t nr = le32_get(d->nr_tags), size = (size_t)nr_blocks << g->block_shift, at;
	int r = 0;

	if (nr > size / sizeof(*tags))
		return -EUCLEAN;
	at = pieces_offset(g, nr);
	for (size_t i = 0; i < nr && r == 0; i++) {
		uint64_t block = le64_get(tags[i].block), mask = le64_get(tags[i].mask);
		size_t bytes = (size_t)__builtin_popcountll(mask) * record_piece_bytes(g);

		if (!mask || !may_hold(g, block) || at > size || bytes > size - at)
			return -EUCLEAN;
		r = apply(context, block, mask, record + at);
		at += bytes;
	}
	return r;
}

void record_patch(const struct geometry *g, uint64_t mask, const uint8_t *pieces, uint8_t *block)
{
	unsigned piece = record_piece_bytes(g);

	for (; mask; mask &= mask - 1) {
		memcpy(block + (unsigned)__builtin_ctzll(mask) * piece, pieces, piece);
		pieces += piece;
	}
}
