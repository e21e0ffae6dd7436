/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_FAKE_H
#define ENGINE_FAKE_H

/*
 * System calls with awkward results, and transfers to run over them.  The calls do the real
 * thing, cut down or refused as the script says.
 */
#include <limits.h>
#include "engine_file.h"
#include "engine_fixture.h"

#define PIECE_BYTES 4096u
#define NR_PIECES   200

/* What the calls do. */
struct fake_script {
	/* setup */
	atomic_int setup_error; /* of contexts of more than setup_room */
	atomic_int setup_room;
	/* submit */
	atomic_int submit_most;	     /* how many iocbs one call takes; 0: all */
	atomic_int submit_again;     /* so many calls of ten say -EAGAIN */
	atomic_int submit_interrupt; /* so many calls of ten say -EINTR */
	atomic_llong bad_offset;     /* the iocb there gets -EFAULT; -1: none */
	atomic_int durable_error;    /* the submission of RWF_DSYNC gets this */
	/* events */
	atomic_int event_interrupt; /* so many calls of ten say -EINTR */
	atomic_int durable_event;   /* the completion of RWF_DSYNC says this */
	atomic_int event_result;    /* all transfers complete with this; INT_MIN: theirs */
	/* both */
	atomic_bool shorten;	/* transfers stop early: in the middle ... */
	atomic_int short_bytes; /* ... or after so many bytes, or if negative so many less */
	atomic_int extra;	/* bytes more than whole sectors that the short ones claim */
	/* calls of the thread */
	atomic_int call_error; /* pwritev2 with RWF_DSYNC fails so */
	atomic_int call_interrupt;
	atomic_int call_most;  /* bytes in one call; 0: all */
	atomic_int sync_error; /* fdatasync fails so */
	atomic_int fallocate_error;
	atomic_int sync_errors_left; /* it fails so often; 0: always */
	atomic_bool sync_gated;	     /* and waits for sync_gate first */
	pthread_mutex_t sync_gate;
	/* counted */
	atomic_int nr_submits, nr_submitted, nr_durable, nr_calls, nr_syncs, nr_fallocates;
	atomic_uint dice;
};

extern struct fake_script script;
extern const struct engine_sys fake_sys;

/* Do everything as the kernel would; before the engine is made. */
void fake_reset(void);

/* Pieces of a stretch of the device that are transferred by one submit(). */
struct work {
	struct request *qs[NR_PIECES];
	char *data;
	unsigned flags; /* BUFIO_IO_* */
	struct waiter waiter;
};

void work_init(struct work *w, unsigned seed);
void work_finish(struct work *w);
void work_run(struct bufio_engine *e, struct work *w, enum bufio_op op, uint64_t start_bytes);

/* Assert that the file of f has want there, without asking the engine. */
void assert_file(const struct fixture *f, uint64_t start_bytes, const char *want);

/* Write and read everything, which must come through whatever the script does. */
void work_all(const struct fixture *f, uint64_t start_bytes, unsigned seed);

#endif
