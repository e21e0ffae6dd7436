/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See craft.h.  The geometry: 1 KiB blocks, two groups of which the second is short. */
#include "craft.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "crc.h"

#define BB	   CRAFT_BLOCK
#define NR_BLOCKS  12000u
#define PER_GROUP  CRAFT_PER_GROUP
#define NR_INODES  64u
#define LOG_START  300u
#define LOG_BLOCKS 128u
#define BIG_NAMES  210u
#define BIG_BLOCKS 6u
#define NR_EXTENTS 70u

static const uint8_t uuid[16] = "craft-craft-cra";

static void use(struct craft *c, uint64_t block, uint64_t count)
{
	for (; count; block++, count--)
		c->bitmap[block / PER_GROUP][block % PER_GROUP / 8] |=
			(uint8_t)(1u << block % PER_GROUP % 8);
}

static uint64_t take(struct craft *c, uint64_t count)
{
	uint64_t block = c->next;

	c->next += count;
	use(c, block, count);
	return block;
}

static void head(uint8_t *data, uint32_t magic, uint64_t block, uint64_t owner)
{
	struct disk_head h = {.magic = le32_make(magic),
			      .block = le64_make(block),
			      .owner = le64_make(owner),
			      .seq = le64_make(3)};

	memset(data, 0, BB);
	memcpy(data, &h, sizeof(h));
}

static void put(struct craft *c, uint8_t *data)
{
	craft_stamp_data(c, data);
	craft_poke(c, le64_get(((struct disk_head *)data)->block), 0, data, BB);
}

static struct disk_inode inode(uint32_t mode, uint32_t nlink)
{
	le64 now = le64_make((UINT64_C(1700000000) + (UINT64_C(1) << 31)) << 30);

	return (struct disk_inode){
		.mode = le16_make((uint16_t)mode),
		.nlink = le32_make(nlink),
		.uid = le32_make(10),
		.generation = le32_make(1),
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
	};
}

/* Entries one behind the other; the last has all the rest of the area. */
struct entries {
	uint8_t *area;
	unsigned size, at, last;
};

static bool add(struct entries *e, const char *name, uint64_t ino, unsigned type)
{
	unsigned len = (unsigned)strlen(name), bytes = (10 + len + 3) & ~3u;
	struct disk_dirent d = {le48_make(ino), (uint8_t)len, (uint8_t)type,
				le16_make((uint16_t)(e->size - e->at))};

	if (e->at + bytes > e->size)
		return false;
	if (e->at)
		bytes_put(e->area + e->last + 8, 2, e->at - e->last);
	memcpy(e->area + e->at, &d, sizeof(d));
	memcpy(e->area + e->at + 10, name, len);
	e->last = e->at;
	e->at += bytes;
	return true;
}

static void extent(uint8_t *at, uint64_t logical, uint64_t physical, uint32_t count, uint8_t flags)
{
	struct disk_extent e = {le48_make(logical), le48_make(physical), le24_make(count), flags};

	memcpy(at, &e, sizeof(e));
}

static void make_root(struct craft *c)
{
	static const struct {
		const char *name;
		unsigned ino, type;
	} names[] = {
		{"inline", I_INLINE, DT_REG},	  {"extents", I_EXTENTS, DT_REG},
		{"tree", I_TREE, DT_REG},	  {"d", I_DIR_INLINE, DT_DIR},
		{"dir", I_DIR, DT_DIR},		  {"big", I_BIG, DT_DIR},
		{"sym", I_SYM, DT_LNK},		  {"long", I_SYM_LONG, DT_LNK},
		{"fifo", I_FIFO, DT_FIFO},	  {"chr", I_CHR, DT_CHR},
		{"xattr", I_XATTR, DT_REG},	  {"hole", I_HOLE, DT_REG},
		{"prealloc", I_PREALLOC, DT_REG}, {"far", I_FAR, DT_DIR},
	};
	struct disk_inode d = inode(S_IFDIR | 0755, 2 + 4);
	uint64_t block = c->block[B_ROOT] = take(c, 1);
	uint8_t data[BB];
	struct entries e = {data + 32, BB - 32, 0, 0};

	head(data, MAGIC_DIR, block, I_ROOT);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert(add(&e, names[i].name, names[i].ino, names[i].type));
	put(c, data);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(BB);
	d.blocks = le64_make(1);
	d.parent = le64_make(I_ROOT);
	d.nr_entries = le32_make(sizeof(names) / sizeof(names[0]));
	extent(d.tail, 0, block, 1, 0);
	craft_put_inode(c, I_ROOT, &d);
}

static void make_small_files(struct craft *c)
{
	struct disk_inode d = inode(S_IFREG | 0644, 2);
	uint64_t block;

	d.data_format = DATA_INLINE;
	d.size = le64_make(5);
	memcpy(d.tail, "hello", 5);
	craft_put_inode(c, I_INLINE, &d);

	d = inode(S_IFREG | 0644, 1);
	d.size = le64_make(1 << 20);
	craft_put_inode(c, I_HOLE, &d);

	d = inode(S_IFREG | 0644, 1 + BIG_NAMES);
	block = c->block[B_DATA] = take(c, 8);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(9 * BB + 100);
	d.blocks = le64_make(8);
	extent(d.tail, 0, block, 4, 0);
	extent(d.tail + 16, 6, block + 4, 4, 0);
	craft_put_inode(c, I_EXTENTS, &d);

	d = inode(S_IFREG | 0644, 1);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(BB);
	d.blocks = le64_make(6);
	block = take(c, 6);
	extent(d.tail, 0, block, 1, 0);
	extent(d.tail + 16, 1, block + 1, 5, EXTENT_UNWRITTEN);
	craft_put_inode(c, I_PREALLOC, &d);

	d = (struct disk_inode){.generation = le32_make(9)};
	craft_put_inode(c, I_FREE, &d);
}

/* A tree of two leaves. */
static uint64_t make_tree(struct craft *c, uint32_t magic, uint64_t owner, const uint8_t *records,
			  unsigned nr, unsigned bytes)
{
	uint64_t root = take(c, 3);
	unsigned first = (nr + 1) / 2;
	uint8_t data[BB];

	for (unsigned i = 0; i < 2; i++) {
		unsigned count = i ? nr - first : first;

		head(data, magic, root + 1 + i, owner);
		bytes_put(data + 34, 2, count);
		memcpy(data + 40, records + (size_t)i * first * bytes, (size_t)count * bytes);
		put(c, data);
	}
	head(data, magic, root, owner);
	bytes_put(data + 32, 2, 1);
	bytes_put(data + 34, 2, 2);
	memcpy(data + 40, records, bytes == 8 ? 8 : 6);
	bytes_put(data + 48, 8, root + 1);
	memcpy(data + 56, records + (size_t)first * bytes, bytes == 8 ? 8 : 6);
	bytes_put(data + 64, 8, root + 2);
	put(c, data);
	return root;
}

static void make_tree_file(struct craft *c)
{
	struct disk_inode d = inode(S_IFREG | 0600, 1);
	uint64_t data = take(c, NR_EXTENTS), root;
	uint8_t records[NR_EXTENTS * 16];

	for (unsigned i = 0; i < NR_EXTENTS; i++)
		extent(records + i * 16, i * 2, data + i, 1, 0);
	root = make_tree(c, MAGIC_EXTENT, I_TREE, records, NR_EXTENTS, 16);
	c->block[B_TREE] = root;
	c->block[B_TREE_LEAF] = root + 1;
	d.data_format = DATA_TREE;
	d.size = le64_make(2 * NR_EXTENTS * BB);
	d.blocks = le64_make(NR_EXTENTS + 3);
	bytes_put(d.tail, 8, root);
	craft_put_inode(c, I_TREE, &d);
}

static void make_inline_dir(struct craft *c, uint64_t ino, uint64_t parent, const char *name,
			    uint64_t target)
{
	struct disk_inode d = inode(S_IFDIR | 0700, 2);
	struct entries e = {d.tail, INODE_TAIL_BYTES, 0, 0};

	d.data_format = DATA_INLINE;
	d.size = le64_make(INODE_TAIL_BYTES);
	d.parent = le64_make(parent);
	if (name) {
		ck_assert(add(&e, name, target, DT_REG));
		d.nr_entries = le32_make(1);
	} else {
		bytes_put(d.tail + 8, 2, INODE_TAIL_BYTES);
	}
	craft_put_inode(c, ino, &d);
}

static void make_dir(struct craft *c)
{
	struct disk_inode d = inode(S_IFDIR | 0700, 3);
	uint64_t block = c->block[B_DIR] = take(c, 1);
	uint8_t data[BB];
	struct entries e = {data + 32, BB - 32, 0, 0};

	head(data, MAGIC_DIR, block, I_DIR);
	ck_assert(add(&e, "sub", I_SUB, DT_DIR));
	put(c, data);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(BB);
	d.blocks = le64_make(1);
	d.parent = le64_make(I_ROOT);
	d.nr_entries = le32_make(1);
	extent(d.tail, 0, block, 1, 0);
	craft_put_inode(c, I_DIR, &d);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void make_index(struct craft *c, uint64_t *keys)
{
	uint8_t records[BIG_NAMES * 8];

	qsort(keys, BIG_NAMES, sizeof(*keys), by_value);
	for (unsigned i = 0; i < BIG_NAMES; i++)
		bytes_put(records + i * 8, 8, keys[i]);
	c->block[B_INDEX] = make_tree(c, MAGIC_INDEX, I_BIG, records, BIG_NAMES, 8);
	c->block[B_INDEX_LEAF] = c->block[B_INDEX] + 1;
}

static void make_big_dir(struct craft *c)
{
	struct disk_inode d = inode(S_IFDIR | 0700, 2);
	uint64_t keys[BIG_NAMES], first = take(c, BIG_BLOCKS);
	unsigned i = 0, nr = 0;

	for (; i < BIG_NAMES; nr++) {
		uint8_t data[BB];
		struct entries e = {data + 32, BB - 32, 0, 0};

		head(data, MAGIC_DIR, first + nr, I_BIG);
		for (; i < BIG_NAMES; i++) {
			char name[16];
			unsigned at = e.at, len = (unsigned)sprintf(name, "name-number-%03u", i);

			if (!add(&e, name, I_EXTENTS, DT_REG))
				break;
			keys[i] = (uint64_t)(uint32_t)XXH3_64bits_withSeed(name, len, c->hash_seed)
					  << 32 |
				  (nr * BB + 32 + at) / 4;
		}
		put(c, data);
	}
	ck_assert_uint_eq(nr, BIG_BLOCKS);
	c->block[B_BIG0] = first;
	c->block[B_BIG3] = first + 3;
	make_index(c, keys);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(nr * BB);
	d.blocks = le64_make(nr + 3);
	d.parent = le64_make(I_ROOT);
	d.nr_entries = le32_make(BIG_NAMES);
	d.special = le64_make(c->block[B_INDEX]);
	extent(d.tail, 0, first, BIG_BLOCKS, 0);
	craft_put_inode(c, I_BIG, &d);
}

static void make_symlinks(struct craft *c)
{
	struct disk_inode d = inode(S_IFLNK | 0777, 1);
	uint64_t block = take(c, 2);
	uint8_t data[BB];

	d.data_format = DATA_INLINE;
	d.size = le64_make(6);
	memcpy(d.tail, "inline", 6);
	craft_put_inode(c, I_SYM, &d);
	for (unsigned i = 0; i < 2; i++) {
		head(data, MAGIC_SYMLINK, block + i, I_SYM_LONG);
		memset(data + 32, 'x', i ? 1500 - (BB - 32) : BB - 32);
		put(c, data);
		c->block[B_SYM0 + i] = block + i;
	}
	d = inode(S_IFLNK | 0777, 1);
	d.data_format = DATA_EXTENTS;
	d.size = le64_make(1500);
	d.blocks = le64_make(2);
	extent(d.tail, 0, block, 2, 0);
	craft_put_inode(c, I_SYM_LONG, &d);
}

static void make_specials(struct craft *c)
{
	struct disk_inode d = inode(S_IFIFO | 0600, 1);

	craft_put_inode(c, I_FIFO, &d);
	d = inode(S_IFCHR | 0600, 1);
	d.special = le64_make(UINT64_C(1) << 32 | 3);
	craft_put_inode(c, I_CHR, &d);
}

/* A record with its value inside; the bytes. */
static unsigned record(uint8_t *at, unsigned prefix, const char *name, unsigned flags,
		       unsigned value_bytes)
{
	unsigned len = (unsigned)strlen(name), named = (8 + len + 3) & ~3u;

	memset(at, 0, named);
	at[0] = (uint8_t)prefix;
	at[1] = (uint8_t)len;
	bytes_put(at + 2, 2, flags);
	bytes_put(at + 4, 4, value_bytes);
	memcpy(at + 8, name, len);
	if (flags)
		return named + 8;
	memset(at + named, 'v', value_bytes);
	memset(at + named + value_bytes, 0, (4 - value_bytes % 4) % 4);
	return named + ((value_bytes + 3) & ~3u);
}

static void make_chain_block(struct craft *c, uint64_t block, uint64_t next, uint64_t value)
{
	uint8_t data[BB];
	unsigned used;

	head(data, MAGIC_XATTR, block, I_XATTR);
	bytes_put(data + 32, 8, next);
	used = record(data + 48, 1, value ? "large" : "second", 0, 10);
	if (value) {
		used += record(data + 48 + used, 2, "external", XATTR_EXTERNAL, 1500);
		bytes_put(data + 48 + used - 8, 8, value);
	}
	bytes_put(data + 40, 4, used);
	put(c, data);
}

static void make_xattrs(struct craft *c)
{
	struct disk_inode d = inode(S_IFREG | 0644, 1);
	uint64_t first = take(c, 4);
	uint8_t data[BB];

	d.xattr_bytes = (uint8_t)record(d.tail + INODE_TAIL_BYTES - 20, 1, "tail", 0, 7);
	ck_assert_uint_eq(d.xattr_bytes, 20);
	make_chain_block(c, first, first + 1, 0);
	make_chain_block(c, first + 1, 0, first + 2);
	for (unsigned i = 0; i < 2; i++) {
		head(data, MAGIC_XATTR_VALUE, first + 2 + i, I_XATTR);
		bytes_put(data + 32, 8, i ? 0 : first + 3);
		bytes_put(data + 40, 4, i ? 1500 - (BB - 48) : BB - 48);
		memset(data + 48, 'w', i ? 1500 - (BB - 48) : BB - 48);
		put(c, data);
	}
	for (unsigned i = 0; i < 4; i++)
		c->block[B_XATTR0 + i] = first + i;
	d.xattr_block = le64_make(first);
	d.blocks = le64_make(4);
	craft_put_inode(c, I_XATTR, &d);
}

static unsigned count_zeroes(const uint8_t *map)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PER_GROUP; i++)
		n += !(map[i / 8] >> i % 8 & 1);
	return n;
}

static void make_bitmap(struct craft *c, uint32_t group, uint32_t used_inodes)
{
	uint8_t data[BB];

	head(data, MAGIC_BLOCK_BITMAP, geo_block_bitmap(&c->geo, group), group);
	memcpy(data + 32, c->bitmap[group], BB - 32);
	put(c, data);
	head(data, MAGIC_INODE_BITMAP, geo_inode_bitmap(&c->geo, group), group);
	memset(data + 32, 0xff, BB - 32);
	memset(data + 32, 0, NR_INODES / 8);
	for (unsigned i = 0; i < used_inodes; i++)
		data[32 + i / 8] |= (uint8_t)(1u << i % 8);
	put(c, data);
}

static void make_groups(struct craft *c)
{
	struct disk_group d[2] = {
		{.free_blocks = le32_make(count_zeroes(c->bitmap[0])),
		 .free_inodes = le32_make(NR_INODES - I_SUB),
		 .itable_mark = le32_make(20),
		 .nr_dirs = le32_make(5)},
		{.free_blocks = le32_make(count_zeroes(c->bitmap[1])),
		 .free_inodes = le32_make(NR_INODES - 1),
		 .itable_mark = le32_make(4),
		 .nr_dirs = le32_make(1)},
	};
	uint8_t data[BB];

	make_bitmap(c, 0, I_SUB);
	make_bitmap(c, 1, 1);
	head(data, MAGIC_GDT, 1, 0);
	memcpy(data + 32, d, sizeof(d));
	put(c, data);
	head(data, MAGIC_LOG, LOG_START, 0);
	bytes_put(data + 32, 8, 1);
	bytes_put(data + 40, 4, 1);
	put(c, data);
}

static void make_super(struct craft *c, uint64_t block, uint64_t owner)
{
	struct disk_super s = {
		.head = {.magic = le32_make(MAGIC_SUPER),
			 .block = le64_make(block),
			 .owner = le64_make(owner),
			 .seq = le64_make(4)},
		.version = le32_make(1),
		.state = le32_make(SUPER_CLEAN),
		.label = "crafted",
		.block_bytes = le32_make(BB),
		.inode_bytes = le32_make(256),
		.nr_blocks = le64_make(NR_BLOCKS),
		.blocks_per_group = le32_make(PER_GROUP),
		.inodes_per_group = le32_make(NR_INODES),
		.nr_groups = le32_make(2),
		.gdt_blocks = le32_make(1),
		.log_start = le64_make(LOG_START),
		.log_blocks = le32_make(LOG_BLOCKS),
		.hash_seed = le64_make(c->hash_seed),
	};

	memcpy(s.signature, SUPER_SIGNATURE, sizeof(s.signature));
	memcpy(s.uuid, uuid, sizeof(uuid));
	craft_poke(c, block, 0, &s, sizeof(s));
	craft_stamp_super(c, block);
}

static void make_geometry(struct craft *c)
{
	c->geo = (struct geometry){
		.block_bytes = BB,
		.block_shift = 10,
		.nr_blocks = NR_BLOCKS,
		.blocks_per_group = PER_GROUP,
		.inodes_per_group = NR_INODES,
		.nr_groups = 2,
		.gdt_blocks = 1,
		.inodes_per_block = BB / INODE_BYTES,
		.itable_blocks = NR_INODES * INODE_BYTES / BB,
		.groups_per_gdt_block = (BB - 32) / 32,
		.log_start = LOG_START,
		.log_blocks = LOG_BLOCKS,
	};
	c->block[B_COPY] = PER_GROUP;
	c->block[B_GDT] = 1;
	c->block[B_LOG] = LOG_START;
	for (uint32_t g = 0; g < 2; g++) {
		c->block[g ? B_BLOCKS1 : B_BLOCKS0] = geo_block_bitmap(&c->geo, g);
		c->block[g ? B_INODES1 : B_INODES0] = geo_inode_bitmap(&c->geo, g);
		c->bitmap[g] = calloc(1, BB - 32);
		ck_assert_ptr_nonnull(c->bitmap[g]);
		use(c, geo_group_start(&c->geo, g), geo_fixed_blocks(&c->geo, g));
	}
	for (unsigned i = NR_BLOCKS - PER_GROUP; i < PER_GROUP; i++)
		c->bitmap[1][i / 8] |= (uint8_t)(1u << i % 8);
	use(c, LOG_START, LOG_BLOCKS);
}

void craft_create(struct craft *c)
{
	*c = (struct craft){.hash_seed = 77, .next = 500};
	c->crc_seed = crc32c(0, uuid, sizeof(uuid));
	ck_assert_int_eq(bufio_engine_mem_create((uint64_t)NR_BLOCKS * BB, 512, &c->engine), 0);
	make_geometry(c);
	make_root(c);
	make_small_files(c);
	make_tree_file(c);
	make_inline_dir(c, I_DIR_INLINE, I_ROOT, "second name", I_INLINE);
	make_inline_dir(c, I_SUB, I_DIR, NULL, 0);
	make_dir(c);
	make_big_dir(c);
	make_symlinks(c);
	make_specials(c);
	make_xattrs(c);
	c->next = PER_GROUP + 100;
	make_inline_dir(c, I_FAR, I_ROOT, NULL, 0);
	make_groups(c);
	make_super(c, 0, 0);
	make_super(c, PER_GROUP, 1);
}

void craft_destroy(struct craft *c)
{
	free(c->bitmap[0]);
	free(c->bitmap[1]);
	bufio_engine_destroy(c->engine);
}
