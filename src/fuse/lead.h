/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LEAD_H
#define LEAD_H

/*
 * Who receives requests.  The kernel wakes a sleeping reader of /dev/fuse for each one, and a wake-up of another thread costs
 * more than most requests; so one thread has the lead: it alone reads, and goes on doing so after each request.  It
 * gives the lead away before it waits, for the device or for a commit of others, and when requests queue up where there are
 * processors for more threads.
 *
 * A program that syncs asks for nothing else until it is answered, and to wake another thread for each sync
 * would be in vain if there is but this one program.  So who writes durably keeps the lead and watches for requests
 * meanwhile; if one comes it gives the lead away, and for many such writes from then on before they begin.  Where another
 * one reads beside it there is nothing to watch for.
 *
 * Who comes back from waiting reads beside the leader for a while: if the next request must wait too, as with a
 * program that syncs all the time, the other one is there already and need not be woken.
 *
 * While more requests are there, small reads that nobody waits for (BUFIO_IO_UNAWAITED) are held back and go to the device
 * together: one system call, and one wake-up of a loop device's thread.  They are all readers' together, and some reader
 * works on a request as long as there are any.  So whoever has the lead submits them before it waits for a request, before
 * one that is no read, and when it gives the lead away; that is to be done before waiting for anybody who may wait
 * for them.
 */
#include <bufio_engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define LEAD_MOST_HELD 16u

struct lead {
	pthread_mutex_t lock;
	pthread_cond_t given;
	unsigned nr_readers;		       /* lock */
	struct bufio_io *held[LEAD_MOST_HELD]; /* lock */
	unsigned nr_held;		       /* lock */
	struct bufio_engine *held_for;	       /* lock; where they go */
	int fd;				       /* where requests come from */
	atomic_int crowded; /* so many durable writes more do not keep the lead */
};

/* Requests are read from fd. */
void lead_init(struct lead *l, int fd);
void lead_finish(struct lead *l);

/* Before each read: waits until the caller may; at once if it has the lead. */
void lead_take(struct lead *l);

/* Let another thread receive, and submit what is held.  Nothing if the caller has not the lead. */
void lead_give(void);

bool lead_holds(struct lead *l);
void lead_submit(struct lead *l); /* what is held; the caller has the lead */

/*
 * An engine that passes all on to inner, which it owns from then on, and gives the lead away before what takes a
 * device's time, unless nobody waits for it; during a durable write when a request comes.  What is held is inner's as soon
 * as the lead says so.  Returns 0 or -ENOMEM.
 */
int lead_engine_create(struct bufio_engine *inner, struct bufio_engine **ret_engine);

#endif
