/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_KNOWN_H
#define FS_KNOWN_H

/*
 * How many lookup references there are to inodes that are not in memory, and whether they have a name: number -> both.
 * It is all that must be remembered of such an inode; the rest is in its table block.  Numbers that adjoin share a slot,
 * for files are listed and made in the order of their numbers: 3 to 5 bytes for each of many neighbours, 50 to 75 for
 * one that has none.  Knows nothing else of inodes.  The caller has the lock.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_PER_SLOT 16u

/* A count takes 15 bits; the 16th: it has no name. */
#define KNOWN_MAX INT16_MAX

struct known_slot {
	uint64_t key; /* number / KNOWN_PER_SLOT + 1; 0: empty */
	uint16_t counts[KNOWN_PER_SLOT];
};

struct known {
	struct known_slot *slots;
	size_t nr_slots, nr_used;
};

/* Remember nr (1 to KNOWN_MAX) for a number that is not there.  0 or -ENOMEM. */
int known_add(struct known *k, uint64_t ino, uint32_t nr, bool nameless);

/* 0: it is not there. */
uint32_t known_count(const struct known *k, uint64_t ino);

bool known_is_nameless(const struct known *k, uint64_t ino);

/* Take nr of its count; with the last one, or with more, it is not there any more. */
void known_drop(struct known *k, uint64_t ino, uint64_t nr);

void known_finish(struct known *k);

#endif
