/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device as it would be after the replay of its log, which is not written: for read-only mounts
 * and checks.  What the log's records have of each block is kept in memory, newest on top, and laid over what is
 * read.  Only the pieces: a hostile record may name 60 times as many blocks as it is long, an honest one mostly a
 * few 64ths of each.  Calls log_recover's scan and the engine below.
 */
#include "log.h"
#include "log_record.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BLOCKS 64u

struct patched {
	uint64_t block, mask;
	uint8_t *pieces; /* those of mask, one behind the other; NULL: an empty slot */
};

struct overlay {
	struct bufio_engine head;
	struct bufio_engine *below;
	struct geometry geo;
	struct patched *slots; /* by block; never more than half full */
	size_t nr, nr_slots;
};

static struct patched *slot_of(struct patched *slots, size_t nr_slots, uint64_t block)
{
	size_t i = (size_t)(block * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (nr_slots - 1);

	while (slots[i].pieces && slots[i].block != block)
		i = (i + 1) & (nr_slots - 1);
	return &slots[i];
}

static int grow(struct overlay *o)
{
	size_t more = o->nr_slots ? o->nr_slots * 2 : MIN_BLOCKS;
	struct patched *slots = calloc(more, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < o->nr_slots; i++) {
		if (o->slots[i].pieces)
			*slot_of(slots, more, o->slots[i].block) = o->slots[i];
	}
	free(o->slots);
	o->slots = slots;
	o->nr_slots = more;
	return 0;
}

static size_t pieces_bytes(const struct overlay *o, uint64_t mask)
{
	return (size_t)__builtin_popcountll(mask) * record_piece_bytes(&o->geo);
}

/* Piece i of those of mask. */
static uint8_t *piece_at(const struct overlay *o, uint8_t *pieces, uint64_t mask, unsigned i)
{
	return pieces + pieces_bytes(o, mask & ((UINT64_C(1) << i) - 1));
}

/* The pieces of from, which are those of mask, to their places in to, which has those of all. */
static void copy_pieces(const struct overlay *o, uint64_t mask, const uint8_t *from, uint64_t all,
			uint8_t *to)
{
	size_t piece = record_piece_bytes(&o->geo);

	for (; mask; mask &= mask - 1) {
		memcpy(piece_at(o, to, all, (unsigned)__builtin_ctzll(mask)), from, piece);
		from += piece;
	}
}

static int patch_block(void *context, uint64_t block, uint64_t mask, const uint8_t *pieces)
{
	struct overlay *o = context;
	struct patched *p;
	uint64_t all;
	uint8_t *both;
	int r = 2 * (o->nr + 1) > o->nr_slots ? grow(o) : 0;

	if (r < 0)
		return r;
	p = slot_of(o->slots, o->nr_slots, block);
	all = p->pieces ? p->mask | mask : mask;
	both = malloc(pieces_bytes(o, all));
	if (!both)
		return -ENOMEM;
	if (p->pieces)
		copy_pieces(o, p->mask, p->pieces, all, both);
	else
		o->nr++;
	copy_pieces(o, mask, pieces, all, both);
	free(p->pieces);
	*p = (struct patched){block, all, both};
	return 0;
}

/* Lay the pieces of p over data, which is what the block has from from on. */
static void lay_pieces(const struct overlay *o, const struct patched *p, size_t from, uint8_t *data,
		       size_t size)
{
	size_t piece = record_piece_bytes(&o->geo);
	const uint8_t *at = p->pieces;

	for (uint64_t mask = p->mask; mask; mask &= mask - 1, at += piece) {
		size_t begin = (unsigned)__builtin_ctzll(mask) * piece, end = begin + piece;
		size_t first = begin < from ? from : begin;
		size_t last = end < from + size ? end : from + size;

		if (first < last)
			memcpy(data + (first - from), at + (first - begin), last - first);
	}
}

/* Lay what is patched over what was read from offset on. */
static void lay_part(const struct overlay *o, uint64_t offset, uint8_t *data, size_t size)
{
	const struct geometry *g = &o->geo;

	while (size) {
		size_t from = offset & (g->block_bytes - 1), n = g->block_bytes - from;
		const struct patched *p = slot_of(o->slots, o->nr_slots, offset >> g->block_shift);

		n = n < size ? n : size;
		if (p->pieces)
			lay_pieces(o, p, from, data, n);
		offset += n;
		data += n;
		size -= n;
	}
}

static int overlay_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct overlay *o = (struct overlay *)e;
	uint64_t offset = io->offset_bytes;
	int r;

	if (io->op != BUFIO_OP_READ)
		return -EROFS;
	r = o->below->ops->transfer(o->below, io);
	for (unsigned i = 0; i < io->nr_iov && r == 0; i++) {
		lay_part(o, offset, io->iov[i].iov_base, io->iov[i].iov_len);
		offset += io->iov[i].iov_len;
	}
	return r;
}

static void overlay_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		ios[i]->done(ios[i], overlay_transfer(e, ios[i]));
}

static int overlay_flush(struct bufio_engine *e)
{
	return 0;
}

static int overlay_refuse(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return -EROFS;
}

static void overlay_destroy(struct bufio_engine *e)
{
	struct overlay *o = (struct overlay *)e;

	for (size_t i = 0; i < o->nr_slots; i++)
		free(o->slots[i].pieces);
	free(o->slots);
	free(o);
}

static const struct bufio_engine_ops overlay_ops = {
	.submit = overlay_submit,
	.transfer = overlay_transfer,
	.flush = overlay_flush,
	.discard = overlay_refuse,
	.zero = overlay_refuse,
	.destroy = overlay_destroy,
};

struct taking {
	struct overlay *o;
	const struct fs *fs;
};

static int take_record(void *context, const uint8_t *record, uint32_t nr_blocks)
{
	struct taking *t = context;

	return record_walk(t->fs, record, nr_blocks, patch_block, t->o);
}

static int build(struct overlay *o, const struct fs *fs)
{
	struct taking t = {o, fs};
	struct log_scan s;
	int r;

	r = grow(o);
	return r < 0 ? r : log_scan(fs, o->below, take_record, &t, &s);
}

int log_overlay_create(struct bufio_engine *e, struct bufio_engine **ret_overlay)
{
	struct overlay *o;
	struct fs fs = {0};
	int r;

	*ret_overlay = NULL;
	r = super_open(e, &fs);
	if (r < 0 || !(le64_get(fs.super.incompat) & INCOMPAT_LOG))
		return r;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->head = *e;
	o->head.ops = &overlay_ops;
	o->head.name = "overlay";
	o->head.read_only = true;
	o->below = e;
	o->geo = fs.geo;
	r = build(o, &fs);
	if (r < 0) {
		overlay_destroy(&o->head);
		return r;
	}
	*ret_overlay = &o->head;
	return 0;
}
