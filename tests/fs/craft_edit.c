/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of an image that craft.c has made, read and changed. */
#include "craft.h"

#include <check.h>
#include <string.h>

#include "crc.h"

void craft_poke(struct craft *c, uint64_t block, unsigned offset, const void *data, unsigned size)
{
	ck_assert_int_eq(bufio_engine_mem_poke(c->engine, block * CRAFT_BLOCK + offset, data, size),
			 0);
}

void craft_peek(struct craft *c, uint64_t block, void *data)
{
	ck_assert_int_eq(bufio_engine_mem_peek(c->engine, block * CRAFT_BLOCK, data, CRAFT_BLOCK),
			 0);
}

void craft_stamp_data(struct craft *c, uint8_t *data)
{
	struct disk_head *h = (struct disk_head *)data;

	h->crc = le32_make(0);
	h->crc = le32_make(crc32c(c->crc_seed, data, CRAFT_BLOCK));
}

void craft_stamp(struct craft *c, uint64_t block)
{
	uint8_t data[CRAFT_BLOCK];

	craft_peek(c, block, data);
	craft_stamp_data(c, data);
	craft_poke(c, block, 0, data, CRAFT_BLOCK);
}

void craft_set_block(struct craft *c, uint64_t block, unsigned offset, unsigned bytes,
		     uint64_t value)
{
	uint8_t raw[8];

	bytes_put(raw, bytes, value);
	craft_poke(c, block, offset, raw, bytes);
	craft_stamp(c, block);
}

void craft_get_inode(struct craft *c, uint64_t ino, struct disk_inode *ret)
{
	uint8_t data[CRAFT_BLOCK];

	craft_peek(c, geo_inode_block(&c->geo, ino), data);
	memcpy(ret, data + geo_inode_offset(&c->geo, ino), sizeof(*ret));
}

void craft_put_inode(struct craft *c, uint64_t ino, struct disk_inode *d)
{
	le64 number = le64_make(ino);

	d->crc = le32_make(0);
	d->crc = le32_make(crc32c(crc32c(c->crc_seed, &number, sizeof(number)), d, sizeof(*d)));
	craft_poke(c, geo_inode_block(&c->geo, ino), geo_inode_offset(&c->geo, ino), d, sizeof(*d));
}

void craft_set_inode(struct craft *c, uint64_t ino, unsigned offset, unsigned bytes, uint64_t value)
{
	struct disk_inode d;

	craft_get_inode(c, ino, &d);
	bytes_put((uint8_t *)&d + offset, bytes, value);
	craft_put_inode(c, ino, &d);
}

void craft_stamp_super(struct craft *c, uint64_t block)
{
	uint8_t data[CRAFT_BLOCK];
	struct disk_super *s = (struct disk_super *)data;

	craft_peek(c, block, data);
	s->head.crc = le32_make(0);
	s->head.crc = le32_make(crc32c(0, data, SUPER_BYTES));
	craft_poke(c, block, 0, data, CRAFT_BLOCK);
}

void craft_set_super(struct craft *c, unsigned offset, unsigned bytes, uint64_t value)
{
	uint8_t raw[8];

	bytes_put(raw, bytes, value);
	craft_poke(c, 0, offset, raw, bytes);
	craft_stamp_super(c, 0);
	craft_poke(c, CRAFT_PER_GROUP, offset, raw, bytes);
	craft_stamp_super(c, CRAFT_PER_GROUP);
}
