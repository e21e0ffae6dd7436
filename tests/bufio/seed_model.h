/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SEED_MODEL_H
#define SEED_MODEL_H

/*
 * A model of how the 2008 seed of dm-bufio decides, over a device of numbers: written anew, one
 * thread, in the seed's order of looking and acting, with its mistakes.  Where the seed would
 * sleep, the I/O that is waited for completes, after what the test has others do meanwhile.  So
 * that a scenario can be shown to go wrong there.
 */
#include <stdbool.h>

#define SEED_BLOCKS  4096u
#define SEED_GARBAGE 0xeeu /* what memory has that nobody filled */

struct seed_link {
	struct seed_link *next, *prev;
};

struct seed_buffer {
	struct seed_link lru; /* first, so that a link is its buffer */
	unsigned block, value, holds;
	int read_error, write_error;
	bool reading, writing, dirty;
	unsigned io_block, io_value; /* in flight */
	struct seed_buffer *next;    /* in the index, newest first; or of what was freed */
};

struct seed {
	struct seed_link clean, dirty;
	struct seed_buffer *index, *freed;
	unsigned nr_buffers, threshold, limit;
	int async_error;
	bool recycles;			   /* memory that was freed comes back as it was */
	unsigned block_bytes, queue_bytes; /* what one bio_vec has to take, and the device takes */

	/* The device. */
	unsigned on_device[SEED_BLOCKS], nr_writes, writes[SEED_BLOCKS];
	int fail_reads, fail_writes;
	unsigned on_medium[SEED_BLOCKS]; /* what a power cut leaves */

	/* What others do while a flush sleeps without the lock; and what went wrong. */
	void (*meanwhile)(struct seed *s, struct seed_buffer *b);
	unsigned nr_locked_waits; /* for the device, with the client's mutex held */
	const char *bug;	  /* the first BUG_ON() */
};

void seed_init(struct seed *s, unsigned threshold, unsigned limit);
void seed_finish(struct seed *s);

/* Returns 0 or the error; *ret is held. */
int seed_read(struct seed *s, unsigned block, struct seed_buffer **ret);
int seed_new(struct seed *s, unsigned block, struct seed_buffer **ret);
/* The read is under way: who asks for the block meanwhile joins it. */
struct seed_buffer *seed_start_read(struct seed *s, unsigned block);
void seed_release(struct seed *s, struct seed_buffer *b);
void seed_mark_dirty(struct seed *s, struct seed_buffer *b);
void seed_write_async(struct seed *s);
int seed_write_dirty(struct seed *s);
void seed_move(struct seed *s, struct seed_buffer *b, unsigned new_block);
void seed_drop(struct seed *s);
/* The device forgets what it was not told to flush. */
void seed_power_cut(struct seed *s);
/* The completion of b's I/O. */
void seed_complete(struct seed *s, struct seed_buffer *b);
unsigned seed_count(const struct seed *s, unsigned block); /* buffers of the block */
unsigned seed_nr_in_flight(const struct seed *s);

#endif
