/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

/*
 * The images that a power cut may leave behind, out of the log of a record engine:
 *
 *	crash_create(record, base, NULL, &c);
 *	while (crash_next_point(c))
 *		while (crash_next_image(c))
 *			check(crash_image(c), crash_mark(c));
 *	crash_destroy(c);
 *
 * At a point of the log a write is certain if it completed before a flush began that has ended, or
 * if it was durable and has completed.  All others are uncertain: each may be on the disk, or
 * not, or some of its sectors of 512 bytes.  So may be one that failed, until something certain
 * covers it; it counts as over when the next write begins.  Of two overlapping writes that were
 * in flight together either may come out on top.
 */
#include <bufio_test_engine.h>
#include <stdio.h>

struct crash;

struct crash_options {
	unsigned most_exhaustive; /* all subsets of up to so many uncertain writes */
	unsigned nr_random; /* beyond that: prefixes, all but one, one, two, and so many draws */
	bool whole_writes;  /* tear no write apart */
	uint64_t seed;	    /* of the draws */
};

/* 10, 32, false, 1 */
void crash_options_init(struct crash_options *o);

/*
 * record: all of its I/O is over; outlives the crash.  base: a mem engine with what was on the
 * device before the first entry of the log; now the crash's.  options: NULL for the defaults.
 */
void crash_create(struct bufio_engine *record, struct bufio_engine *base,
		  const struct crash_options *options, struct crash **ret_crash);

/* The same from entries that are in memory, which outlive the crash. */
void crash_create_from(const struct bufio_record_entry *const *entries, size_t nr,
		       struct bufio_engine *base, const struct crash_options *options,
		       struct crash **ret_crash);
void crash_destroy(struct crash *c); /* and base */

/*
 * Go to the next point of the log with images not seen before: just ahead of the end of a flush,
 * of a durable write's completion, of a mark and of the end of the log.  The images of any
 * other point are among those of the next one of these.
 */
bool crash_next_point(struct crash *c);

/* Make the next image of this point; what was written to the last one is undone. */
bool crash_next_image(struct crash *c);

/* The image, free to be read and written until the next call of the two above. */
struct bufio_engine *crash_image(struct crash *c);

/* The last mark ahead of this point, 0 if there is none. */
uint64_t crash_mark(const struct crash *c);

/* How many entries of the log happened, and how many writes are uncertain. */
size_t crash_position(const struct crash *c);
unsigned crash_nr_uncertain(const struct crash *c);

/* Which image this is, for the message of a failure. */
void crash_print(const struct crash *c, FILE *f);

/* A mem engine with the contents of another, to be the base. */
struct bufio_engine *crash_copy(struct bufio_engine *mem);

#endif
