/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_GATE_H
#define TEST_GATE_H

/*
 * An engine that keeps calls back until told, around any other one: what depends on one thing
 * happening while another is under way needs no luck then.
 */
#include <bufio_test_engine.h>

/* Destroyed with inner.  Open at first.  Returns 0 or -ENOMEM. */
int gate_create(struct bufio_engine *inner, struct bufio_engine **ret_engine);

/*
 * Keep back what comes from now on: ops is a mask of BUFIO_FAULT_READ, WRITE and FLUSH.
 * transfer() and flush() then do not return, submit() does.
 */
void gate_close(struct bufio_engine *e, unsigned ops);

/* Wait until nr calls are kept back; aborts after a minute, telling how many there are. */
void gate_wait(struct bufio_engine *e, unsigned nr);

/* Let what is kept back, and what comes, pass; from this thread where it was submitted. */
void gate_open(struct bufio_engine *e);

/* Let only the index-th of what is kept back pass, in the order of arrival from 0. */
void gate_pass(struct bufio_engine *e, unsigned index);

/* How many are kept back now. */
unsigned gate_kept(struct bufio_engine *e);

#endif
