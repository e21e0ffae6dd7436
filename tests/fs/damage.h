/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_DAMAGE_H
#define TEST_DAMAGE_H

/* What can be wrong with a crafted image, one thing at a time, and what check_fs() calls it. */
#include "craft.h"

enum damage_kind {
	BLOCK, /* a field, crc right afterwards */
	SMASH, /* a field, crc wrong afterwards */
	INODE,
	SMASH_INODE,
	SUPER,
	FUNCTION,
};

struct damage {
	const char *name, *code; /* NULL: any */
	enum damage_kind kind;
	unsigned target, offset, bytes;
	uint64_t value;
	void (*apply)(struct craft *c);
};

extern const struct damage damages[];
extern const unsigned nr_damages;

void damage_apply(struct craft *c, const struct damage *d);

/* Offset of the root's entry for ino, in its block. */
unsigned root_entry(struct craft *c, uint64_t ino);

void name_of_a_free_inode(struct craft *c);
void name_of_a_file_is_gone(struct craft *c);
void name_of_a_directory_is_gone(struct craft *c);
void everything_at_once(struct craft *c);

#endif
