/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LEAD_H
#define LEAD_H

/*
 * Who receives requests.  The kernel wakes a sleeping reader of /dev/fuse for each one, and a wake-up of another thread costs
 * more than most requests; so one thread has the lead: it alone reads, and goes on doing so after each request.  It
 * gives the lead away before it waits, for the device or for a commit of others, and when requests queue up where there are
 * processors for more threads.
 *
 * Who comes back from waiting reads beside the leader for a while: if the next request must wait too, as with a
 * program that syncs all the time, the other one is there already and need not be woken.
 */
#include <bufio_engine.h>
#include <pthread.h>
#include <stdbool.h>

struct lead {
	pthread_mutex_t lock;
	pthread_cond_t given;
	unsigned nr_readers; /* lock */
};

void lead_init(struct lead *l);
void lead_finish(struct lead *l);

/* Before each read: waits until the caller may; at once if it has the lead. */
void lead_take(struct lead *l);

/* Let another thread receive.  Nothing if the caller has not the lead. */
void lead_give(void);

/*
 * An engine that passes all on to inner, which it owns from then on, and gives the lead away before what takes a
 * device's time, unless nobody waits for it (BUFIO_IO_UNAWAITED).  Returns 0 or -ENOMEM.
 */
int lead_engine_create(struct bufio_engine *inner, struct bufio_engine **ret_engine);

#endif
