/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CACHE_FIXTURE_H
#define CACHE_FIXTURE_H

/*
 * A cache over record(gate(fault(mem))): calls are logged, can be kept back, and can fail.  A
 * block's contents are one number, repeated.
 */
#include <bufio.h>
#include <bufio_test_engine.h>
#include <check.h>
#include <pthread.h>
#include "gate.h"

#define CACHE_BLOCK 4096u

struct cache {
	struct bufio_engine *mem, *fault, *gate, *record;
	struct bufio_client *client;
	uint64_t nr_blocks;
};

/* Nothing is written by itself. */
void cache_options(struct bufio_options *o, unsigned nr_buffers);
void cache_init(struct cache *c, uint64_t nr_blocks, unsigned nr_buffers);
void cache_init_options(struct cache *c, uint64_t nr_blocks, const struct bufio_options *o);
void cache_finish(struct cache *c); /* mends the device; destroy must succeed */

void cache_put(struct cache *c, uint64_t block, uint64_t value);  /* new, fill, dirty */
void cache_poke(struct cache *c, uint64_t block, uint64_t value); /* on the device */
uint64_t cache_get(struct cache *c, uint64_t block);		  /* bufio_read() */
uint64_t cache_peek(struct cache *c, uint64_t block);		  /* from the device */
int cache_try(struct cache *c, uint64_t block);			  /* read and release */
struct bufio_buffer *cache_hold(struct cache *c, uint64_t block); /* bufio_read(), held */
void cache_fill(struct bufio_buffer *b, uint64_t value);
uint64_t cache_value(const struct bufio_buffer *b); /* asserts that all of it is one number */
bool cache_has(struct cache *c, uint64_t block);
void cache_flush(struct cache *c);

struct bufio_record_counts cache_counts(struct cache *c);
struct bufio_stats cache_stats(struct cache *c);

/* Fail calls (a mask of BUFIO_FAULT_*): all from now on, or count of them. */
void cache_fail(struct cache *c, unsigned ops, unsigned count);
void cache_fail_block(struct cache *c, unsigned ops, uint64_t block);
void cache_mend(struct cache *c);

/* A call in a thread of its own. */
struct caller {
	pthread_t thread;
	struct cache *c;
	int (*call)(struct cache *c, uint64_t argument);
	uint64_t argument;
	int result;
};
void caller_start(struct caller *x, struct cache *c,
		  int (*call)(struct cache *c, uint64_t argument), uint64_t argument);
int caller_join(struct caller *x);
int call_flush(struct cache *c, uint64_t argument);
int call_read(struct cache *c, uint64_t block); /* and release */

int cache_run(const char *name, TCase *const *cases);

#endif
