/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

/* Engines of every kind to run one contract over, and transfers to run on them. */
#include <bufio_engine.h>
#include <pthread.h>
#include <stdatomic.h>

struct engine_sys;

#define FIXTURE_BYTES (4u << 20)
#define SECTOR_BYTES  512u

/* Those over a file come first. */
enum kind {
	KIND_AIO,
	KIND_SYNC,
	KIND_BUFFERED,
	NR_FILE_KINDS,
	KIND_MEM = NR_FILE_KINDS,
	KIND_REORDER,
	KIND_FAULT,
	KIND_RECORD,
	KIND_RECORD_AIO,
	NR_KINDS,
};

struct fixture {
	enum kind kind;
	char path[64]; /* of the file, if there is one */
	struct bufio_engine *engine;
	bool read_only;
};

/* An engine of FIXTURE_BYTES zeroes.  Files get a few bytes more, which are not its. */
void fixture_init(struct fixture *f, enum kind kind);
void fixture_init_read_only(struct fixture *f, enum kind kind);
void fixture_finish(struct fixture *f);

/* A file of size_bytes zeroes in a directory with O_DIRECT, if there is one. */
void fixture_make_file(char path[64], uint64_t size_bytes);
/* Whether libaio and O_DIRECT are to be had there; may be called outside of tests. */
bool fixture_has_aio(void);
#define TEST_SKIPPED 77

void fixture_options(enum kind kind, struct bufio_engine_options *o);

/* The kind over a file, with a test's own system calls. */
void fixture_init_sys(struct fixture *f, enum kind kind, const struct engine_sys *sys);

/* Memory aligned to 4096, filled with a pattern drawn from seed. */
void *pattern_alloc(size_t size_bytes, unsigned seed);
void pattern_fill(void *data, size_t size_bytes, unsigned seed);

/* What submitters wait for. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned nr_pending;
	unsigned nr_done;
	unsigned nr_failed;
	int first_error;
};

void waiter_init(struct waiter *w);
void waiter_finish(struct waiter *w);
void waiter_wait(struct waiter *w); /* aborts the test after a minute */

/* A transfer with room for its iovec. */
struct request {
	struct bufio_io io;
	struct iovec iov[BUFIO_MAX_IOV];
	int result; /* of the last submit */
	unsigned nr_done;
	struct waiter *waiter;
};

/* One part over data. */
void request_init(struct request *q, enum bufio_op op, uint64_t offset_bytes, void *data,
		  size_t size_bytes);

/* Cut it into nr_parts parts of whole sectors, of which there must be enough. */
void request_split(struct request *q, unsigned nr_parts);

/* Submit and wait.  Return the result. */
int request_submit(struct bufio_engine *e, struct request *q);
int request_transfer(struct bufio_engine *e, struct request *q);

/* Add to w and submit; waiter_wait() waits. */
void request_start(struct bufio_engine *e, struct request *const *qs, unsigned nr,
		   struct waiter *w);

/* Transfer by op, offset, data, size in one go; for setting up and looking. */
int simple_transfer(struct bufio_engine *e, enum bufio_op op, uint64_t offset_bytes, void *data,
		    size_t size_bytes);

/* Assert that the device has the pattern of seed, or zeroes, or a byte there. */
void assert_pattern(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes,
		    unsigned seed);
void assert_bytes(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes, int byte);

/* A generator of our own: the same on every run. */
struct draw {
	uint64_t state;
};
unsigned draw_below(struct draw *d, unsigned limit);

#endif
