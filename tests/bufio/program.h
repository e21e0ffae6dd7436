/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROGRAM_H
#define PROGRAM_H

/*
 * Random programs for the cache, run by some threads against an oracle in memory.
 *
 * A thread has slots that hold buffers, as many as the rule of bufio.h gives it.  The blocks:
 *  - shared ones.  A lock for the contents of each, taken after the call of the library, makes
 *    the oracle exact while the calls themselves meet.  The last of them are also
 *    transferred by extents;
 *  - the arena: threads move blocks there crosswise; who reads one must find some
 *    block's contents, whole;
 *  - some private ones of each thread, where moves and undirtied new buffers are exact.
 */
#include <bufio.h>
#include <bufio_test_engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define PROGRAM_THREADS 16
#define PROGRAM_SLOTS	8
#define PROGRAM_CODE	400

#define NR_SHARED    64
#define FIRST_EXTENT 48 /* of the shared */
#define FIRST_ARENA  64
#define NR_ARENA     8
#define FIRST_OWN    72
#define NR_OWN	     8 /* per thread */
#define NR_BLOCKS    (FIRST_OWN + PROGRAM_THREADS * NR_OWN)

enum op {
	OP_NEW,	   /* slot := new block, filled and dirty */
	OP_LEAVE,  /* new of an own block, released without having been dirtied */
	OP_READ,   /* slot := block */
	OP_GET,	   /* slot := block, if it is cached */
	OP_PUT,	   /* slot */
	OP_DIRTY,  /* change what slot holds */
	OP_FLUSH,  /* write_dirty_buffers */
	OP_RANGE,  /* write_range */
	OP_FORGET, /* block, or from there on */
	OP_MOVE,   /* between own blocks */
	OP_CROSS,  /* between blocks of the arena */
	OP_AHEAD,  /* prefetch */
	OP_XREAD,  /* extents */
	OP_XWRITE,
	OP_PARTIAL, /* change what slot holds, marked dirty in ranges */
	OP_BYTES,   /* an own block by write_bytes and read_bytes */
	OP_ZERO,    /* zeroout of own blocks */
	OP_DISCARD, /* of an own block: its buffer, or on the device, too */
	OP_ABANDON, /* with one thread: what is dirty is lost, and told */
	OP_RESIZE,  /* the cache; or its minimum */
	OP_FAULT,   /* the next calls of the device fail */
	OP_LOOP,    /* again from block instructions before, arg times */
	OP_VERIFY,  /* everything held */
	NR_OPS,
};

struct instruction {
	enum op op;
	uint16_t slot, block, arg;
};

enum program_engine { ON_MEM, ON_REORDER, ON_FAULT, ON_RECORD, NR_PROGRAM_ENGINES };

struct program {
	uint64_t seed;
	unsigned nr_threads, nr_buffers, block_bytes;
	enum program_engine engine;
	uint64_t lie; /* for tests of the tests: 1 + the block that is lost; see step_range() */
	struct code {
		unsigned nr;
		struct instruction at[PROGRAM_CODE];
	} code[PROGRAM_THREADS];
};

/* program_make.c */
void program_make(struct program *p, uint64_t seed, unsigned length);
void program_print(const struct program *p, FILE *f);
unsigned program_length(const struct program *p);

/* Run in a child process.  Returns true if nothing was wrong; else the child told stderr. */
bool program_passes(const struct program *p);

/* Make a program that fails as short as can be found; for threads each try is repeated. */
void program_shrink(struct program *p);

/* One block of the oracle. */
struct cell {
	pthread_rwlock_t lock; /* of the contents, for all but own blocks */
	uint64_t stamp, home;  /* of the contents; 0: zeroes */
	pthread_mutex_t holders_lock;
	struct bufio_buffer *buffer; /* that the holders have */
	unsigned nr_holders;
};

/* What was promised when the n-th flush returned. */
struct promise {
	uint64_t stamp[NR_SHARED];
};

#define MOST_PROMISES 4096

struct run {
	const struct program *p;
	struct bufio_engine *mem, *fault, *record, *top;
	struct bufio_client *client;
	struct cell cells[NR_BLOCKS];
	_Atomic uint64_t last_stamp;
	struct promise *promises; /* on the record engine; mark n is promises[n - 1] */
	atomic_uint nr_promises;
};

/* program_content.c: what a block holds. */
void content_fill(const struct run *run, void *data, uint64_t stamp, uint64_t home);
bool content_is(const struct run *run, const void *data, uint64_t stamp, uint64_t home);

/* Every sector is some whole contents of the block, not older than stamp. */
bool content_is_since(const struct run *run, const void *data, uint64_t stamp, uint64_t home);

/* Any contents, whole. */
bool content_is_whole(const struct run *run, const void *data);

/* program_crash.c: the images of the log. */
void program_check_crashes(struct run *run);

/* program_run.c: what each thread does, in the process it is called in. */
void program_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void program_run(const struct program *p);

/* program_step.c: one instruction. */
struct slot {
	struct bufio_buffer *b;
	uint64_t block;
	void *data;
};

struct thread {
	struct run *run;
	unsigned number, nr_slots;
	struct slot slots[PROGRAM_SLOTS];
	unsigned loops[PROGRAM_CODE]; /* how often each LOOP still jumps, plus 1; 0: not begun */
	unsigned steps;
};

bool step_is_faulty(const struct run *run);
void step_expect(const struct run *run, int r, const char *what);
bool step_is_own(const struct thread *t, uint64_t block);
void step_check_contents(struct run *run, uint64_t block, const void *data, const char *where);
/* New contents of a held block, which the oracle learns. */
void step_change(struct run *run, struct bufio_buffer *b, uint64_t block, bool pin);
void step_run(struct thread *t, const struct instruction *i);
void step_put_all(struct thread *t);
void step_verify(struct thread *t);

/* program_extent.c */
void extent_read(struct thread *t, const struct instruction *i);
void extent_write(struct thread *t, const struct instruction *i);

/* program_own.c: instructions on the thread's own blocks, or on the client. */
void own_bytes(struct thread *t, const struct instruction *i);
void own_zero(struct thread *t, const struct instruction *i);
void own_discard(struct thread *t, const struct instruction *i);
void own_abandon(struct thread *t, const struct instruction *i);
void own_resize(struct thread *t, const struct instruction *i);

#endif
