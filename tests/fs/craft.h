/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_CRAFT_H
#define TEST_CRAFT_H

/*
 * An image made by hand, byte by byte as FORMAT.md says, with one of everything.  Not made by the
 * filesystem, so that check_fs() is tested against the text.
 */
#include <bufio_engine.h>

#include "core.h"

/* Blocks with a name, for tests that break them. */
enum craft_block {
	B_SUPER,
	B_COPY,
	B_GDT,
	B_BLOCKS0,
	B_INODES0,
	B_BLOCKS1,
	B_INODES1,
	B_LOG,
	B_ROOT,
	B_DIR,
	B_BIG0, /* blocks of the indexed directory */
	B_BIG3,
	B_INDEX,
	B_INDEX_LEAF,
	B_TREE,
	B_TREE_LEAF,
	B_SYM0,
	B_SYM1,
	B_XATTR0,
	B_XATTR1,
	B_VALUE0,
	B_VALUE1,
	B_DATA, /* first block of I_EXTENTS */
	B_NR
};

enum craft_inode {
	I_ROOT = 1,
	I_INLINE,
	I_EXTENTS,
	I_TREE,
	I_DIR_INLINE,
	I_DIR,
	I_BIG,
	I_SYM,
	I_SYM_LONG,
	I_FIFO,
	I_CHR,
	I_XATTR,
	I_HOLE,
	I_PREALLOC,
	I_SUB,	    /* below I_DIR */
	I_FREE,	    /* was in use once */
	I_FAR = 65, /* in group 1 */
};

#define CRAFT_BLOCK	1024u
#define CRAFT_PER_GROUP ((CRAFT_BLOCK - 32) * 8)

struct craft {
	struct bufio_engine *engine;
	struct geometry geo;
	uint32_t crc_seed;
	uint64_t hash_seed, next;
	uint8_t *bitmap[2];
	uint64_t block[B_NR];
};

void craft_create(struct craft *c);
void craft_destroy(struct craft *c);

/* craft_edit.c: raw bytes, and bytes of a structure whose crc is right again afterwards. */
void craft_poke(struct craft *c, uint64_t block, unsigned offset, const void *data, unsigned size);
void craft_peek(struct craft *c, uint64_t block, void *data); /* a whole block */
void craft_set_block(struct craft *c, uint64_t block, unsigned offset, unsigned bytes,
		     uint64_t value);
void craft_set_inode(struct craft *c, uint64_t ino, unsigned offset, unsigned bytes,
		     uint64_t value);
void craft_set_super(struct craft *c, unsigned offset, unsigned bytes, uint64_t value); /* both */
void craft_get_inode(struct craft *c, uint64_t ino, struct disk_inode *ret);
void craft_put_inode(struct craft *c, uint64_t ino, struct disk_inode *d);
void craft_stamp(struct craft *c, uint64_t block); /* the crc of a block with a head */
void craft_stamp_data(struct craft *c, uint8_t *data);
void craft_stamp_super(struct craft *c, uint64_t block);

#endif
