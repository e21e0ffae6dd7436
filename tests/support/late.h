/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_LATE_H
#define TEST_LATE_H

/*
 * An engine whose writes that nobody waits for (BUFIO_IO_UNAWAITED) end late and in any order, by a thread of its
 * own, around any other one: what the submitter does meanwhile happens while they are under way.
 */
#include <bufio_engine.h>

/* Destroyed with inner.  Returns 0 or -errno. */
int late_create(struct bufio_engine *inner, uint64_t seed, struct bufio_engine **ret_engine);

#endif
