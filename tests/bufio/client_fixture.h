/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

/* A client over a dam before a device in RAM, and the few things every test of it does. */
#include <bufio.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "engine_dam.h"

#define BLOCK	  4096u
#define NR_BLOCKS 8192u

struct tc {
	struct bufio_engine *mem, *dam;
	struct bufio_client *client;
};

/* options may be NULL: nothing is written but by calls. */
void tc_init(struct tc *t, const struct bufio_options *options);
void tc_options(struct bufio_options *o); /* those for NULL */
/* Asserts that everything can be written and nothing is held. */
void tc_finish(struct tc *t);

void tc_put(struct tc *t, uint64_t block, unsigned value);
unsigned tc_get(struct tc *t, uint64_t block);
unsigned tc_on_device(struct tc *t, uint64_t block);

/* One call of the client in a thread of its own. */
struct call {
	pthread_t thread;
	struct tc *cache;
	int (*run)(struct tc *t, void *argument);
	void *argument;
	int result;
};

void call_start(struct call *call, struct tc *t, int (*run)(struct tc *t, void *argument),
		void *argument);
int call_end(struct call *call); /* its result */

int tc_flush(struct tc *t, void *unused); /* bufio_write_dirty_buffers() */

/* Run the suite; returns main()'s result. */
int tc_run_suite(Suite *suite);

#endif
