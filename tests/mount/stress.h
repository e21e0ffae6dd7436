/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_STRESS_H
#define TEST_STRESS_H

/*
 * A load on a mount whose daemon is killed under it: processes that do anything, and such that sync
 * what they do and keep a table of it outside, from which is known what must be found afterwards.
 */
#include <stdbool.h>
#include <stdint.h>

#define PROMISE_FILES 16u

/*
 * Of one file, by a number that goes up with each change: the last one that was begun, and the last that is
 * durable.  In shared memory on a file outside.
 */
struct promise {
	_Atomic uint64_t begun, done;
};

/* Make promises in the current folder until the daemon is dead. */
void promises_make(struct promise *table, uint64_t seed);

/* What is found in the current folder keeps them.  Says what does not. */
bool promises_kept(const struct promise *table);

/* Anything, in the current folder, until the daemon is dead or, if limit is not 0, so many times. */
void stress_work(uint64_t seed, uint64_t limit);

/* Of the last call: is the daemon dead?  Exits with a message if it failed with what it must not fail with. */
bool is_dead(const char *what);

unsigned stress_draw(uint64_t *random, unsigned below);

#endif
