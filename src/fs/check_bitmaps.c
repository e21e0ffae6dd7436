/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 5: the bitmaps and descriptors of each group against what the passes before found.  They hold
 * nothing of their own, so they are simply written anew where they differ, but only if
 * everything before is mended: else what looks free may not be.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One bitmap of one group. */
struct bitmap {
	struct check *c;
	uint32_t group;
	enum meta_kind kind;
	uint64_t block;
	const uint8_t *want;
	unsigned end; /* bits that stand for something; 1 behind them */
	bool uninit;  /* the descriptor says it was never written */
	bool trivial; /* it need not be written */
	const char *what;
};

static unsigned bitmap_bytes(const struct check *c)
{
	return c->fs.geo.block_bytes - DISK_HEAD_BYTES;
}

static unsigned count_zeroes(const uint8_t *bits, unsigned bytes)
{
	unsigned ones = 0;

	for (unsigned i = 0; i < bytes; i++)
		ones += (unsigned)__builtin_popcount(bits[i]);
	return bytes * 8 - ones;
}

struct difference {
	uint32_t leaked, missing, tail;
	uint32_t first_leaked, first_missing;
};

static void compare_bit(const struct bitmap *m, struct difference *f, uint32_t i, bool want)
{
	if (i >= m->end) {
		f->tail++;
	} else if (want) {
		if (!f->missing++)
			f->first_missing = i;
	} else if (!f->leaked++) {
		f->first_leaked = i;
	}
}

static struct difference compare_bits(const struct bitmap *m, const uint8_t *bits)
{
	struct difference f = {0};

	for (unsigned i = 0; i < bitmap_bytes(m->c); i++) {
		uint8_t differ = bits[i] ^ m->want[i];

		for (unsigned k = 0; differ && k < 8; k++)
			if (differ >> k & 1)
				compare_bit(m, &f, i * 8 + k, m->want[i] >> k & 1);
	}
	return f;
}

static bool report(const struct bitmap *m, const struct difference *f)
{
	bool blocks = m->kind == META_BLOCK_BITMAP, mend = false;
	struct at at = {.block = m->block};

	if (f->leaked)
		mend |= problem(m->c, FIX_DERIVED,
				blocks ? "block-bitmap-leak" : "inode-bitmap-leak", at,
				"group %u: %u %ss are marked in use, but are free (first %u)",
				m->group, f->leaked, m->what, f->first_leaked);
	if (f->missing)
		mend |= problem(m->c, FIX_DERIVED,
				blocks ? "block-bitmap-missing" : "inode-bitmap-missing", at,
				"group %u: %u %ss are marked free, but are in use (first %u)",
				m->group, f->missing, m->what, f->first_missing);
	if (f->tail)
		mend |= problem(m->c, FIX_DERIVED,
				blocks ? "block-bitmap-tail" : "inode-bitmap-tail", at,
				"group %u: %u bits past the end of the %s bitmap are not set",
				m->group, f->tail, m->what);
	return mend;
}

static int write_bitmap(const struct bitmap *m)
{
	struct bufio_buffer *b;
	int r = block_new(m->c, m->block, m->kind, m->group, &b);

	if (r < 0)
		return r;
	memcpy((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES, m->want, bitmap_bytes(m->c));
	block_store(m->c, b);
	return 0;
}

/* The descriptor says there is none: right, if there is nothing to say. */
static int check_unwritten(const struct bitmap *m)
{
	bool blocks = m->kind == META_BLOCK_BITMAP;

	if (m->trivial)
		return 0;
	if (!problem(m->c, FIX_DERIVED, "group-flags", (struct at){.block = m->block},
		     "group %u: its %s bitmap is said to be unwritten, but %ss are in use",
		     m->group, m->what, blocks ? "block" : "inode"))
		return 0;
	return write_bitmap(m);
}

static int check_bitmap(const struct bitmap *m)
{
	bool blocks = m->kind == META_BLOCK_BITMAP;
	struct bufio_buffer *b;
	struct difference f;
	bool mend;
	int r;

	if (m->uninit)
		return check_unwritten(m);
	r = block_read(m->c, m->block, m->kind, m->group, &b);
	if (r == -EUCLEAN) {
		mend = problem(m->c, FIX_DERIVED, blocks ? "block-bitmap-bad" : "inode-bitmap-bad",
			       (struct at){.block = m->block},
			       "group %u: the %s bitmap in block %" PRIu64 " is damaged", m->group,
			       m->what, m->block);
	} else if (r < 0) {
		return r;
	} else {
		f = compare_bits(m, (const uint8_t *)bufio_data(b) + DISK_HEAD_BYTES);
		bufio_release(b);
		mend = report(m, &f);
	}
	return mend ? write_bitmap(m) : 0;
}

/* What pass 5 finds out about a group. */
struct facts {
	uint32_t free_blocks, free_inodes, nr_dirs, nr_orphans;
	bool blocks_trivial, inodes_trivial;
	uint8_t *bits; /* scratch for the inode bitmap */
};

static void inode_facts(struct check *c, uint32_t group, struct facts *f)
{
	const struct check_group *cg = &c->groups[group];
	uint32_t nr = c->fs.geo.inodes_per_group;

	memset(f->bits, 0, bitmap_bytes(c));
	for (uint32_t i = nr; i < bitmap_bytes(c) * 8; i++)
		f->bits[i / 8] |= (uint8_t)(1u << i % 8);
	f->nr_dirs = f->nr_orphans = 0;
	f->free_inodes = nr;
	for (uint32_t i = 0; cg->notes && i < cg->itable_mark; i++) {
		const struct note *n = &cg->notes[i];

		if (!n->type)
			continue;
		f->bits[i / 8] |= (uint8_t)(1u << i % 8);
		f->free_inodes--;
		f->nr_dirs += n->type == DT_DIR;
		f->nr_orphans += n->nlink == 0 || n->flags & NOTE_TRUNCATE;
	}
	f->inodes_trivial = f->free_inodes == nr;
}

static void block_facts(struct check *c, uint32_t group, struct facts *f)
{
	const struct geometry *g = &c->fs.geo;
	const uint8_t *map = c->groups[group].blocks;

	f->blocks_trivial = claim_is_trivial(c, group);
	if (f->blocks_trivial)
		f->free_blocks = geo_group_blocks(g, group) - geo_fixed_blocks(g, group);
	else
		f->free_blocks = count_zeroes(map, bitmap_bytes(c));
	c->result.used_blocks += geo_group_blocks(g, group) - f->free_blocks;
}

static uint16_t flags_of(const struct check *c, uint32_t group)
{
	const struct check_group *cg = &c->groups[group];

	return le16_get(cg->disk.flags);
}

/* A group whose descriptor was lost: a bitmap with nothing to say counts as unwritten. */
static uint16_t flags_wanted(const struct check *c, uint32_t group, const struct facts *f)
{
	uint16_t flags = flags_of(c, group);

	if (c->groups[group].lost)
		flags = GROUP_BLOCKS_UNINIT | GROUP_INODES_UNINIT;
	flags &= GROUP_BLOCKS_UNINIT | GROUP_INODES_UNINIT;
	if (!f->blocks_trivial)
		flags &= (uint16_t)~GROUP_BLOCKS_UNINIT;
	if (!f->inodes_trivial)
		flags &= (uint16_t)~GROUP_INODES_UNINIT;
	return flags;
}

static int check_group_bitmaps(struct check *c, uint32_t group, const struct facts *f)
{
	const struct geometry *g = &c->fs.geo;
	uint16_t flags = c->groups[group].lost ? flags_wanted(c, group, f) : flags_of(c, group);
	struct bitmap m = {.c = c, .group = group};
	int r = 0;

	m.what = "block";
	m.kind = META_BLOCK_BITMAP;
	m.block = geo_block_bitmap(g, group);
	m.end = geo_group_blocks(g, group);
	m.uninit = flags & GROUP_BLOCKS_UNINIT;
	m.trivial = f->blocks_trivial;
	m.want = m.uninit && m.trivial ? NULL : claim_map(c, group);
	if (!m.want && !(m.uninit && m.trivial))
		return -ENOMEM;
	r = check_bitmap(&m);
	if (r < 0)
		return r;
	m.what = "inode";
	m.kind = META_INODE_BITMAP;
	m.block = geo_inode_bitmap(g, group);
	m.end = g->inodes_per_group;
	m.uninit = flags & GROUP_INODES_UNINIT;
	m.trivial = f->inodes_trivial;
	m.want = f->bits;
	return check_bitmap(&m);
}

static void check_field(struct check *c, uint32_t group, const char *code, le32 *field,
			uint32_t want)
{
	if (le32_get(*field) != want &&
	    problem(c, FIX_DERIVED, code, (struct at){0}, "group %u: %s is %u, should be %u", group,
		    code + strlen("group-"), le32_get(*field), want))
		*field = le32_make(want);
}

static void check_descriptor(struct check *c, uint32_t group, const struct facts *f)
{
	uint16_t flags = flags_of(c, group);
	struct check_group *cg = &c->groups[group];
	struct disk_group *d = &cg->disk;

	if (cg->lost) {
		d->free_blocks = le32_make(f->free_blocks);
		d->free_inodes = le32_make(f->free_inodes);
		d->nr_dirs = le32_make(f->nr_dirs);
		d->nr_orphans = le32_make(f->nr_orphans);
	}
	check_field(c, group, "group-free-blocks", &d->free_blocks, f->free_blocks);
	check_field(c, group, "group-free-inodes", &d->free_inodes, f->free_inodes);
	check_field(c, group, "group-nr-dirs", &d->nr_dirs, f->nr_dirs);
	check_field(c, group, "group-nr-orphans", &d->nr_orphans, f->nr_orphans);
	if (flags & ~(GROUP_BLOCKS_UNINIT | GROUP_INODES_UNINIT))
		problem(c, FIX_DERIVED, "group-flags", (struct at){0},
			"group %u: unknown flags 0x%x", group, flags);
	d->flags = le16_make(flags_wanted(c, group, f));
	d->itable_mark = le32_make(cg->itable_mark);
}

static int check_group(struct check *c, uint32_t group, struct facts *f)
{
	int r;

	inode_facts(c, group, f);
	block_facts(c, group, f);
	r = check_group_bitmaps(c, group, f);
	if (r == 0)
		check_descriptor(c, group, f);
	return r;
}

/* Written if it differs from what stands there. */
static int store_gdt_block(struct check *c, uint32_t index)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t first = index * g->groups_per_gdt_block;
	struct bufio_buffer *b, *old;
	struct disk_group *d;
	bool same = false;
	int r = block_read(c, 1 + index, META_GDT, index, &old);

	if (r < 0 && r != -EUCLEAN)
		return r;
	if (r == 0) {
		d = (struct disk_group *)((uint8_t *)bufio_data(old) + DISK_HEAD_BYTES);
		same = true;
		for (uint32_t i = 0; i < g->groups_per_gdt_block && first + i < g->nr_groups; i++)
			same = same && !memcmp(&d[i], &c->groups[first + i].disk, sizeof(*d));
		bufio_release(old);
	}
	if (same)
		return 0;
	r = block_new(c, 1 + index, META_GDT, index, &b);
	if (r < 0)
		return r;
	d = (struct disk_group *)((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES);
	for (uint32_t i = 0; i < g->groups_per_gdt_block && first + i < g->nr_groups; i++)
		d[i] = c->groups[first + i].disk;
	block_store(c, b);
	return 0;
}

int check_bitmaps(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	struct facts f = {.bits = malloc(bitmap_bytes(c))};
	int r = f.bits ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < g->nr_groups && r == 0; i++) {
		if (i % AHEAD_GROUPS == 0) {
			check_progress(c, 5, i, g->nr_groups);
			ahead_bitmaps(c, i, AHEAD_GROUPS);
		}
		r = check_group(c, i, &f);
	}
	if (check_writes(c) && check_all_mended(c))
		for (uint32_t i = 0; (uint64_t)i * g->groups_per_gdt_block < g->nr_groups && r == 0;
		     i++)
			r = store_gdt_block(c, i);
	free(f.bits);
	return r;
}
