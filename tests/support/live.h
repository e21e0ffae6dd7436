/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_LIVE_H
#define TEST_LIVE_H

/*
 * The live writes at a point of a log: those whose effect is not settled.  Private to crash.c.
 *
 * x is before y if x was over when y began.  When y becomes certain, what it covers of the
 * writes before it is dead.  A certain write goes into the base image as soon as no live one that
 * was in flight with it overlaps it.
 */
#include <bufio_test_engine.h>

#define LIVE_SECTOR 512u
#define LIVE_NEVER  SIZE_MAX

struct live {
	uint64_t number;   /* 0: a discard */
	size_t begin, end; /* entries of the log; end LIVE_NEVER: failed */
	uint64_t first;	   /* sectors */
	size_t nr;
	const char *data; /* NULL: junk */
	bool certain;
	bool *dead;    /* per sector: something certain covers it */
	bool *present; /* per sector: in the image that is being made */
};

struct live_list {
	struct live **all; /* in the order of begin */
	size_t nr, room;
};

/* Zeroed; aborts without memory. */
void *live_alloc(size_t size);

void live_add(struct live_list *l, const struct bufio_record_entry *e, size_t begin, size_t end);
void live_remove(struct live_list *l, size_t i);

/* Mark w certain, and what it covers dead.  Then settle. */
void live_make_certain(struct live_list *l, struct live *w);

/* Move into base what is settled, and drop what is dead. */
void live_settle(struct live_list *l, struct bufio_engine *base);

bool live_is_unordered(const struct live *x, const struct live *y);
bool live_common(const struct live *x, const struct live *y, uint64_t *first, uint64_t *end);
bool live_overlap(const struct live *x, const struct live *y);

/* Write the sectors of x that are present, alive and not hidden (NULL: none is). */
typedef int (*live_poke_fn)(struct bufio_engine *e, uint64_t offset, const void *data, size_t size);
void live_poke(struct bufio_engine *e, live_poke_fn poke, const struct live *x, const bool *hidden);

#endif
