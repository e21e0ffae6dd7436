/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Make a filesystem: only what FORMAT.md section 11 asks for is written, so the time does not grow with the
 * device.  Old superblocks go first and the new one comes last: a half made filesystem is none.
 * Writes past any cache.  Calls the engine, and the pure parts of meta, super and bitmap.
 */
#include "mkfs.h"
#include "bitmap.h"
#include "crc.h"
#include "inode.h"
#include "meta.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WIPE_BYTES	65536u
#define BYTES_PER_INODE 16384u
#define LOG_MIN_BYTES	(UINT64_C(1) << 20)
#define LOG_MAX_BYTES	(UINT64_C(64) << 20)
#define GDT_GROWTH	4u

struct mkfs {
	struct bufio_engine *e;
	const struct mkfs_options *o;
	struct fs fs; /* geo and crc_seed only */
	uint8_t *block;
};

static uint64_t div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

static int choose_units(const struct mkfs *m, struct geometry *g)
{
	uint32_t bb = m->o->block_bytes ? m->o->block_bytes : FORMAT_DEFAULT_BLOCK_BYTES;
	uint64_t size = m->o->size_bytes ? m->o->size_bytes : m->e->size_bytes;

	if (bb < FORMAT_MIN_BLOCK_BYTES || bb > FORMAT_MAX_BLOCK_BYTES || bb & (bb - 1) ||
	    bb < m->e->sector_bytes || size > m->e->size_bytes)
		return -EINVAL;
	g->block_bytes = bb;
	g->block_shift = (unsigned)__builtin_ctz(bb);
	g->inodes_per_block = bb / INODE_BYTES;
	g->groups_per_gdt_block = (bb - DISK_HEAD_BYTES) / (unsigned)sizeof(struct disk_group);
	g->blocks_per_group = (bb - DISK_HEAD_BYTES) * 8;
	g->nr_blocks = size / bb;
	if (g->nr_blocks == 0)
		return -ENOSPC;
	return g->nr_blocks > FORMAT_MAX_BLOCKS ? -EFBIG : 0;
}

/* Groups, and of the descriptors as many as leave room to grow, if there is room for them. */
static int choose_groups(struct geometry *g)
{
	uint64_t nr = div_up(g->nr_blocks, g->blocks_per_group), gdt, most;

	gdt = div_up(nr, g->groups_per_gdt_block);
	most = g->blocks_per_group - g->itable_blocks;
	most = most > 64 ? most - 64 : 0;
	if (nr > UINT32_MAX || gdt > most)
		return -EFBIG;
	g->nr_groups = (uint32_t)nr;
	most = most / 2 > gdt ? most / 2 : gdt;
	gdt = div_up(nr * GDT_GROWTH, g->groups_per_gdt_block);
	g->gdt_blocks = (uint32_t)(gdt < most ? gdt : most);
	return 0;
}

static int choose_inodes(const struct mkfs *m, struct geometry *g)
{
	uint64_t nr = m->o->nr_inodes, groups = div_up(g->nr_blocks, g->blocks_per_group);
	uint64_t per_group, most;

	if (!nr)
		nr = div_up(g->nr_blocks << g->block_shift, BYTES_PER_INODE);
	per_group = div_up(div_up(nr, groups), g->inodes_per_block) * g->inodes_per_block;
	most = g->blocks_per_group / g->inodes_per_block * g->inodes_per_block;
	if (per_group > most)
		return -EINVAL;
	g->inodes_per_group = (uint32_t)per_group;
	g->itable_blocks = g->inodes_per_group / g->inodes_per_block;
	return geo_nr_inodes(g) < UINT64_C(1) << 48 ? 0 : -EFBIG;
}

/* Blocks of a group that the log may have. */
static uint32_t room_for_log(const struct geometry *g, uint32_t group)
{
	uint32_t taken = geo_fixed_blocks(g, group) + FORMAT_MIN_LAST_GROUP_FREE;
	uint32_t nr = geo_group_blocks(g, group);

	taken += g->nr_groups == 1 ? 1 : 0;
	return taken < nr ? nr - taken : 0;
}

/* A last group that is too short does not exist. */
static int cut_last_group(struct geometry *g)
{
	uint32_t last = g->nr_groups - 1;
	uint32_t need = geo_fixed_blocks(g, last) + FORMAT_MIN_LAST_GROUP_FREE;

	if (geo_group_blocks(g, last) >= need)
		return 0;
	if (last == 0)
		return -ENOSPC;
	g->nr_blocks = geo_group_start(g, last);
	g->nr_groups = last;
	return 0;
}

static uint64_t log_wanted(const struct mkfs *m, const struct geometry *g)
{
	uint64_t bytes = m->o->log_bytes, most = g->nr_blocks / 8;

	if (bytes)
		return div_up(bytes, g->block_bytes);
	bytes = (g->nr_blocks << g->block_shift) / 32;
	bytes = bytes < LOG_MIN_BYTES ? LOG_MIN_BYTES : bytes;
	bytes = bytes > LOG_MAX_BYTES ? LOG_MAX_BYTES : bytes;
	bytes >>= g->block_shift;
	return bytes < most ? bytes : most;
}

/* The first group where it fits, else the one with the most room. */
static int choose_log(const struct mkfs *m, struct geometry *g)
{
	uint64_t want = log_wanted(m, g);
	uint32_t best = 0, best_room = 0, room;

	if (want > FORMAT_MAX_LOG_BYTES >> g->block_shift)
		return -EINVAL;

	want = want < FORMAT_MIN_LOG_BLOCKS ? FORMAT_MIN_LOG_BLOCKS : want;
	for (uint32_t i = 0; i < g->nr_groups && best_room < want; i++) {
		room = room_for_log(g, i);
		if (room > best_room) {
			best_room = room;
			best = i;
		}
	}
	if (best_room < FORMAT_MIN_LOG_BLOCKS)
		return -ENOSPC;
	g->log_blocks = (uint32_t)(best_room < want ? best_room : want);
	g->log_start = geo_group_start(g, best) + geo_fixed_blocks(g, best);
	return 0;
}

static int choose(const struct mkfs *m, struct geometry *g)
{
	int r;

	if (m->o->label && strlen(m->o->label) > LABEL_MAX)
		return -EINVAL;
	r = choose_units(m, g);
	if (r == 0)
		r = choose_inodes(m, g);
	if (r == 0)
		r = choose_groups(g);
	if (r == 0)
		r = cut_last_group(g);
	if (r == 0)
		r = cut_last_group(
			g); /* the one that became the last is whole, but may be the only one */
	if (r == 0 && geo_nr_inodes(g) >= UINT64_C(1) << 48)
		r = -EFBIG;
	return r < 0 ? r : choose_log(m, g);
}

static int wipe(struct mkfs *m, uint64_t offset, uint64_t size)
{
	uint8_t *zeroes = calloc(1, WIPE_BYTES);
	int r;

	if (!zeroes)
		return -ENOMEM;
	r = super_transfer(m->e, BUFIO_OP_WRITE, offset, zeroes, size);
	free(zeroes);
	return r;
}

/* A copy of an older filesystem with another block size would be found if ours were damaged. */
static int wipe_copies(struct mkfs *m)
{
	uint64_t sector = m->e->sector_bytes < SUPER_BYTES ? SUPER_BYTES : m->e->sector_bytes;
	uint64_t bs, offset;
	int r = 0;

	for (bs = FORMAT_MIN_BLOCK_BYTES; bs <= FORMAT_MAX_BLOCK_BYTES && r == 0; bs *= 2) {
		offset = (bs - DISK_HEAD_BYTES) * 8 * bs & ~(sector - 1);
		if (offset < m->e->size_bytes && sector <= m->e->size_bytes - offset)
			r = wipe(m, offset, sector);
	}
	return r;
}

static int wipe_all(struct mkfs *m)
{
	uint64_t size = m->e->size_bytes, part = size < WIPE_BYTES ? size : WIPE_BYTES;
	int r;

	r = wipe(m, 0, part);
	if (r == 0)
		r = wipe(m, size - part, part);
	if (r == 0)
		r = wipe_copies(m);
	return r < 0 ? r : m->e->ops->flush(m->e);
}

static void *begin_block(struct mkfs *m)
{
	memset(m->block, 0, m->fs.geo.block_bytes);
	return m->block;
}

static int put_block(struct mkfs *m, uint64_t block, enum meta_kind kind, uint64_t owner)
{
	const struct geometry *g = &m->fs.geo;
	struct disk_head *h = (struct disk_head *)m->block;

	if (meta_magic(kind)) {
		h->magic = le32_make(meta_magic(kind));
		h->block = le64_make(block);
		h->owner = le64_make(owner);
		meta_stamp_raw(m->fs.crc_seed, g->block_bytes, m->block);
	}
	return super_transfer(m->e, BUFIO_OP_WRITE, block << g->block_shift, m->block,
			      g->block_bytes);
}

static bool has_log(const struct geometry *g, uint32_t group)
{
	return geo_group_of_block(g, g->log_start) == group;
}

static struct disk_group group_of(const struct geometry *g, uint32_t group)
{
	uint32_t blocks = geo_group_blocks(g, group) - geo_fixed_blocks(g, group);
	uint32_t root = group == 0 ? 1 : 0, flags = 0;

	blocks -= (has_log(g, group) ? g->log_blocks : 0) + (g->nr_groups == 1 ? 1 : 0);
	if (group)
		flags = GROUP_INODES_UNINIT | (has_log(g, group) ? 0 : GROUP_BLOCKS_UNINIT);
	return (struct disk_group){
		.free_blocks = le32_make(blocks),
		.free_inodes = le32_make(g->inodes_per_group - root),
		.itable_mark = le32_make(root ? g->inodes_per_block : 0),
		.nr_dirs = le32_make(root),
		.flags = le16_make((uint16_t)flags),
	};
}

static int write_gdt_block(struct mkfs *m, uint32_t index)
{
	const struct geometry *g = &m->fs.geo;
	uint64_t group = (uint64_t)index * g->groups_per_gdt_block;
	struct disk_group *d;

	d = (struct disk_group *)((uint8_t *)begin_block(m) + DISK_HEAD_BYTES);
	for (uint32_t i = 0; i < g->groups_per_gdt_block && group < g->nr_groups; i++, group++)
		d[i] = group_of(g, (uint32_t)group);
	return put_block(m, 1 + (uint64_t)index, META_GDT, index);
}

static int write_block_bitmap(struct mkfs *m, uint32_t group)
{
	const struct geometry *g = &m->fs.geo;

	bitmap_init_blocks(g, group, bitmap_bits(begin_block(m)));
	return put_block(m, geo_block_bitmap(g, group), META_BLOCK_BITMAP, group);
}

static int write_inode_bitmap(struct mkfs *m)
{
	const struct geometry *g = &m->fs.geo;
	uint8_t *map = bitmap_bits(begin_block(m));

	bitmap_init_inodes(g, map);
	bitmap_set(map, 0, 1);
	return put_block(m, geo_inode_bitmap(g, 0), META_INODE_BITMAP, 0);
}

/* The root: an empty directory in its inode. */
static int write_root(struct mkfs *m)
{
	const struct mkfs_options *o = m->o;
	struct disk_inode *d = begin_block(m);
	struct disk_dirent *free_space = (struct disk_dirent *)d->tail;
	le64 now = time_encode(fs_now()), ino = le64_make(INODE_ROOT);
	uint32_t crc;

	d->mode = le16_make((uint16_t)(S_IFDIR | (o->root_mode ? o->root_mode & 07777 : 0755)));
	d->data_format = DATA_INLINE;
	d->nlink = le32_make(2);
	d->uid = le32_make(o->root_uid);
	d->gid = le32_make(o->root_gid);
	d->generation = le32_make(1);
	d->size = le64_make(INODE_TAIL_BYTES);
	d->atime = d->mtime = d->ctime = d->btime = now;
	d->parent = ino;
	free_space->rec_len = le16_make(INODE_TAIL_BYTES);
	crc = crc32c(m->fs.crc_seed, &ino, sizeof(ino));
	d->crc = le32_make(crc32c(crc, d, sizeof(*d)));
	return put_block(m, geo_itable(&m->fs.geo, 0), META_ITABLE, 0);
}

static int write_log(struct mkfs *m)
{
	struct disk_log *d = begin_block(m);

	d->tail_seq = le64_make(1);
	d->tail_offset = le32_make(1);
	return put_block(m, m->fs.geo.log_start, META_LOG, 0);
}

static int write_metadata(struct mkfs *m)
{
	const struct geometry *g = &m->fs.geo;
	uint32_t log_group = geo_group_of_block(g, g->log_start);
	int r = 0;

	for (uint32_t i = 0; i < g->gdt_blocks && r == 0; i++)
		r = write_gdt_block(m, i);
	if (r == 0)
		r = write_block_bitmap(m, 0);
	if (r == 0 && log_group)
		r = write_block_bitmap(m, log_group);
	if (r == 0)
		r = write_inode_bitmap(m);
	if (r == 0)
		r = write_root(m);
	if (r == 0)
		r = write_log(m);
	return r < 0 ? r : m->e->ops->flush(m->e);
}

static void fill_super(const struct mkfs *m, struct disk_super *d)
{
	const struct geometry *g = &m->fs.geo;
	le64 now = time_encode(fs_now());

	memcpy(d->signature, SUPER_SIGNATURE, sizeof(d->signature));
	memcpy(d->uuid, m->o->uuid, sizeof(d->uuid));
	if (m->o->label)
		memcpy(d->label, m->o->label, strlen(m->o->label));
	d->version = le32_make(SUPER_VERSION);
	d->state = le32_make(SUPER_CLEAN);
	d->block_bytes = le32_make(g->block_bytes);
	d->inode_bytes = le32_make(INODE_BYTES);
	d->nr_blocks = le64_make(g->nr_blocks);
	d->blocks_per_group = le32_make(g->blocks_per_group);
	d->inodes_per_group = le32_make(g->inodes_per_group);
	d->nr_groups = le32_make(g->nr_groups);
	d->gdt_blocks = le32_make(g->gdt_blocks);
	d->log_start = le64_make(g->log_start);
	d->log_blocks = le32_make(g->log_blocks);
	d->hash_seed = le64_make(m->o->hash_seed);
	d->made_time = d->write_time = d->check_time = now;
}

static int write_super(struct mkfs *m, uint64_t owner, uint64_t block)
{
	const struct geometry *g = &m->fs.geo;
	struct disk_super *d = begin_block(m);
	int r;

	fill_super(m, d);
	d->head = (struct disk_head){.magic = le32_make(MAGIC_SUPER),
				     .block = le64_make(block),
				     .owner = le64_make(owner),
				     .seq = le64_make(1)};
	d->head.crc = le32_make(super_crc(d));
	r = super_transfer(m->e, BUFIO_OP_WRITE, block << g->block_shift, d, g->block_bytes);
	return r < 0 ? r : m->e->ops->flush(m->e);
}

static int make(struct mkfs *m)
{
	int r;

	r = wipe_all(m);
	if (r == 0)
		r = write_metadata(m);
	/* The copy alone makes a filesystem too, so all else is durable before it. */
	if (r == 0)
		r = write_super(m, 1, geo_super_copy(&m->fs.geo));
	return r < 0 ? r : write_super(m, 0, 0);
}

int mkfs_format(struct bufio_engine *e, const struct mkfs_options *o, struct geometry *ret_geo)
{
	struct mkfs m = {.e = e, .o = o};
	int r;

	r = choose(&m, &m.fs.geo);
	if (r < 0)
		return r;
	if (!o->dry_run) {
		m.fs.crc_seed = crc32c(0, o->uuid, sizeof(o->uuid));
		m.block = malloc(m.fs.geo.block_bytes);
		r = m.block ? make(&m) : -ENOMEM;
		free(m.block);
	}
	if (r == 0)
		*ret_geo = m.fs.geo;
	return r;
}
