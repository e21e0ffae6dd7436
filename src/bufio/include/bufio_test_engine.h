/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BUFIO_TEST_ENGINE_H
#define BUFIO_TEST_ENGINE_H

/*
 * Engines for tests: one that fails on request and one that logs every write and flush,
 * so that the states a power cut may leave can be built.  Both wrap any other engine.
 */
#include <bufio_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a fault applies to; a mask. */
#define BUFIO_FAULT_READ    (1u << 0)
#define BUFIO_FAULT_WRITE   (1u << 1)
#define BUFIO_FAULT_FLUSH   (1u << 2)
#define BUFIO_FAULT_DISCARD (1u << 3) /* and zero */
#define BUFIO_FAULT_ANY	    15u

/* One rule.  A call that matches is counted; see first and count. */
struct bufio_fault {
	unsigned ops;	      /* BUFIO_FAULT_* */
	uint64_t start_bytes; /* transfers that touch [start, end) ... */
	uint64_t end_bytes;   /* ... 0: anywhere; a flush touches everything */
	unsigned first;	      /* the first matching call that fails, from 1; 0 is 1 */
	unsigned count;	      /* how many fail from there on; 0: all */
	int error;	      /* negative errno; 0: only delay */
	unsigned delay_us;    /* every matching call waits before it goes on or fails */
};

/*
 * Wrap inner, which the new engine destroys with itself.  Without rules it passes all
 * calls on.  A failed write writes nothing, or its first half if torn writes are on.
 * Returns 0 or -ENOMEM; then inner is still the caller's.
 */
int bufio_engine_fault_create(struct bufio_engine *inner, struct bufio_engine **ret_engine);

/* Replace the rule (NULL: none) and restart its count.  Any thread. */
void bufio_engine_fault_set(struct bufio_engine *e, const struct bufio_fault *fault);

/* Failing writes still write the first half of their sectors. */
void bufio_engine_fault_torn(struct bufio_engine *e, bool torn);

/* How many calls matched the rule since it was set, and how many of them failed. */
unsigned bufio_engine_fault_matched(struct bufio_engine *e);
unsigned bufio_engine_fault_failed(struct bufio_engine *e);

enum bufio_record_kind {
	BUFIO_RECORD_WRITE,    /* submitted, with the data as it was */
	BUFIO_RECORD_COMPLETE, /* the write with number .write succeeded; is durable, if it was */
	BUFIO_RECORD_FLUSH_BEGIN,
	BUFIO_RECORD_FLUSH_END, /* success: all writes complete before its begin are durable */
	BUFIO_RECORD_MARK,	/* bufio_engine_record_mark() */
	BUFIO_RECORD_DISCARD,	/* undefined from here on, also if it fails; data is NULL */
};

struct bufio_record_entry {
	enum bufio_record_kind kind;
	uint64_t write; /* number of the write or flush, each from 1; mark's value */
	uint64_t offset_bytes;
	size_t size_bytes;
	const void *data; /* owned by the recorder; not aligned for a transfer */
	bool durable;	  /* BUFIO_IO_DURABLE was set; also in its COMPLETE */
};

/*
 * Wrap inner (destroyed with it) and log from the first call on.  An event is logged before
 * the submitter can know of it.  A write or flush that failed has no COMPLETE or FLUSH_END; a
 * write the device would refuse (-EINVAL, -ERANGE, -EROFS) has no entry.  zero() gives
 * -EOPNOTSUPP, so that zeroes are logged as writes.  What there is no memory to log is not passed on
 * and fails with -ENOMEM.
 * Returns 0 or -ENOMEM; then inner is still the caller's.
 */
int bufio_engine_record_create(struct bufio_engine *inner, struct bufio_engine **ret_engine);

/* Put a mark into the log: "fsync of x returned", "operation k returned".  Returns 0 or -ENOMEM. */
int bufio_engine_record_mark(struct bufio_engine *e, uint64_t value);

/*
 * The log so far; get gives NULL for an index past its end.  Entries stay valid until clear or destroy;
 * stop I/O before reading.  Numbers go on after clear.
 */
size_t bufio_engine_record_count(struct bufio_engine *e);
const struct bufio_record_entry *bufio_engine_record_get(struct bufio_engine *e, size_t index);
void bufio_engine_record_clear(struct bufio_engine *e);

struct bufio_record_counts {
	uint64_t reads, writes, flushes, durable_writes; /* writes: durable ones, too */
	uint64_t read_bytes, write_bytes;
};

/* Exact counts of what was asked for since creation or the last clear, also what failed. */
void bufio_engine_record_counts(struct bufio_engine *e, struct bufio_record_counts *ret);

#ifdef __cplusplus
}
#endif
#endif
