/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_KNOWN_H
#define FS_KNOWN_H

/*
 * How many lookup references there are to inodes that are not in memory: number -> count, in some 15 to 23 bytes each.
 * It is all that must be remembered of such an inode; the rest is in its table block.  Knows nothing else of inodes.
 * The caller has the lock.
 */
#include <stddef.h>
#include <stdint.h>

/* 12 bytes: a number in two halves, so that there is no padding.  nr 0: empty. */
struct known_slot {
	uint32_t ino_low, ino_high, nr;
};

struct known {
	struct known_slot *slots;
	size_t nr_slots, nr_used;
};

#define KNOWN_MAX UINT32_MAX

/* Remember nr (1 to KNOWN_MAX) for a number that is not there.  0 or -ENOMEM. */
int known_add(struct known *k, uint64_t ino, uint32_t nr);

/* 0: it is not there. */
uint32_t known_count(const struct known *k, uint64_t ino);

/* Take nr of its count; with the last one, or with more, it is not there any more. */
void known_drop(struct known *k, uint64_t ino, uint64_t nr);

void known_finish(struct known *k);

#endif
