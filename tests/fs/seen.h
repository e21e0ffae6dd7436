/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_SEEN_H
#define TEST_SEEN_H

/*
 * Which images of a recorded program were checked: a tear often leaves what a subset left, and a block
 * that goes home often changes nothing.  Two are the same if 127 bits of hash are over all that the
 * record writes anywhere; the rest is in all of them what it was at the beginning.
 */
#include <bufio_test_engine.h>
#include <stdbool.h>

struct seen_range {
	uint64_t from, to; /* bytes */
};

struct seen_image {
	uint64_t low, high; /* low 0: an empty slot */
};

struct seen {
	struct seen_range *ranges; /* what is written; in order, apart */
	size_t nr_ranges;
	struct seen_image *slots; /* never more than half full */
	size_t nr, nr_slots;
};

void seen_init(struct seen *s, struct bufio_engine *record);
void seen_finish(struct seen *s);

/* Is it the first time that image is this, and this is expected of it? */
bool seen_first(struct seen *s, struct bufio_engine *image, uint64_t expected);

#endif
