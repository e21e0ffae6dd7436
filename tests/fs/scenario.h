/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

/*
 * A filesystem's life from mkfs to the second unmount, for tests in which something fails on the way.  It goes on
 * after an error as programs do, allocates nothing and asserts nothing; what it found is judged afterwards.
 */
#include <bufio_engine.h>
#include <stdbool.h>

struct scenario {
	struct bufio_engine *engine;
	bool (*failing)(void *context); /* has anything failed yet? */
	void *context;
	bool no_idle; /* inodes stay in memory only as long as an operation has them */
	/* what came of it */
	bool formatted, synced; /* synced: what is kept was, before anything failed */
	int nr_errors, first_error, unmount_error;
	const char *first_call; /* that gave the first error */
	const char *odd_call;	/* that gave an error it cannot give */
	int odd_error;
};

void scenario_run(struct scenario *s);

/*
 * Nothing fails any more: what is on the device can be repaired in one go, used, and has what was synced.
 * Asserts.
 */
void scenario_verify(struct scenario *s);

#endif
