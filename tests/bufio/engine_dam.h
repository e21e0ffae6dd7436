/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_DAM_H
#define ENGINE_DAM_H

/*
 * An engine around another one whose calls can be stopped on the way, so that a test decides
 * what happens while a transfer or flush is in flight.  It counts calls as well.
 */
#include <bufio_engine.h>

#define DAM_READ  (1u << 0)
#define DAM_WRITE (1u << 1)
#define DAM_FLUSH (1u << 2)

/* Destroys inner with itself. */
struct bufio_engine *dam_create(struct bufio_engine *inner);

/* What comes from now on waits: submitted transfers aside, others in their thread. */
void dam_close(struct bufio_engine *e, unsigned what);
/* Let go what waits, and what comes. */
void dam_open(struct bufio_engine *e, unsigned what);
/* Let go nr submitted transfers of a kind that wait; what comes goes on to wait. */
void dam_pass(struct bufio_engine *e, unsigned what, unsigned nr);
/* Until nr calls wait there. */
void dam_wait(struct bufio_engine *e, unsigned nr);

/* The next nr calls of these kinds fail with error when they get through. */
void dam_fail(struct bufio_engine *e, unsigned what, unsigned nr, int error);

struct dam_counts {
	unsigned reads, writes, flushes; /* so many calls */
	unsigned submits;		 /* calls of submit */
	size_t read_bytes, write_bytes;	 /* of all */
	size_t largest_bytes;		 /* transfer */
	const void *last_base;		 /* memory of the last transfer */
	uint64_t last_offset;		 /* and where it was */
	size_t last_bytes;
	uint16_t last_ioprio;
};

void dam_counts(struct bufio_engine *e, struct dam_counts *ret);
void dam_reset(struct bufio_engine *e);

#endif
