/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_BITMAP_H
#define FS_BITMAP_H

/*
 * Bits of FORMAT.md section 5: bit i of byte k is number 8k + i.  Pure; knows no blocks and no locks.  A map is
 * aligned to 8 and as long as a multiple of 64 bits.
 */
#include "core.h"

/* The bits of a bitmap block. */
static inline uint8_t *bitmap_bits(void *data)
{
	return (uint8_t *)data + DISK_HEAD_BYTES;
}

static inline uint32_t bitmap_nr_bits(const struct geometry *g)
{
	return (g->block_bytes - DISK_HEAD_BYTES) * 8;
}

bool bitmap_test(const uint8_t *map, uint32_t bit);
void bitmap_set(uint8_t *map, uint32_t from, uint32_t to);
void bitmap_clear(uint8_t *map, uint32_t from, uint32_t to);

/* The first zero (one) in [from, to), or to. */
uint32_t bitmap_find_zero(const uint8_t *map, uint32_t from, uint32_t to);
uint32_t bitmap_find_one(const uint8_t *map, uint32_t from, uint32_t to);

uint32_t bitmap_count_zeros(const uint8_t *map, uint32_t nr_bits);

/* The bits of a group that was never used: the fixed area, the log, and what lies past the end. */
void bitmap_init_blocks(const struct geometry *g, uint32_t group, uint8_t *map);
void bitmap_init_inodes(const struct geometry *g, uint8_t *map);

#endif
