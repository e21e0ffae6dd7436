/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread receives: see lead.h. */
#include "lead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_READERS 2u

/* Requests in a row without waiting, after which one reader is enough. */
#define CALM 16u

#define HELD_BYTES (64u * 1024)

/* After a request that came during a durable write so many more give the lead away at once. */
#define CROWDED 16

/* What this thread leads; requests since it took that. */
static _Thread_local struct lead *led;
static _Thread_local unsigned nr_served;

void lead_init(struct lead *l, int fd)
{
	l->nr_readers = 0;
	l->nr_held = 0;
	l->fd = fd;
	atomic_init(&l->crowded, 0);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->given, NULL);
}

void lead_finish(struct lead *l)
{
	pthread_cond_destroy(&l->given);
	pthread_mutex_destroy(&l->lock);
}

/* The caller's to submit when it has released the lock, which it holds now. */
struct handover {
	struct bufio_engine *engine;
	struct bufio_io *ios[LEAD_MOST_HELD];
	unsigned nr;
};

static void held_take(struct lead *l, struct handover *ret)
{
	ret->engine = l->held_for;
	ret->nr = l->nr_held;
	memcpy(ret->ios, l->held, l->nr_held * sizeof(l->held[0]));
	l->nr_held = 0;
}

static void held_submit(const struct handover *h)
{
	if (h->nr)
		h->engine->ops->submit(h->engine, h->ios, h->nr);
}

bool lead_holds(struct lead *l)
{
	bool holds;

	pthread_mutex_lock(&l->lock);
	holds = l->nr_held > 0;
	pthread_mutex_unlock(&l->lock);
	return holds;
}

void lead_submit(struct lead *l)
{
	struct handover h;

	pthread_mutex_lock(&l->lock);
	held_take(l, &h);
	pthread_mutex_unlock(&l->lock);
	held_submit(&h);
}

/* Small reads only: what a larger one costs is its transfer.  Returns false if it is to be submitted now. */
static bool hold(struct bufio_engine *inner, struct bufio_io *io)
{
	struct lead *l = led;
	struct handover h = {.nr = 0};

	if (!l || io->op != BUFIO_OP_READ || io->size_bytes > HELD_BYTES)
		return false;
	pthread_mutex_lock(&l->lock);
	l->held_for = inner;
	l->held[l->nr_held++] = io;
	if (l->nr_held == LEAD_MOST_HELD)
		held_take(l, &h);
	pthread_mutex_unlock(&l->lock);
	held_submit(&h);
	return true;
}

/* May this thread, which has waited for nothing for so long, go on? */
static bool stays(struct lead *l)
{
	bool stays;

	if (++nr_served < CALM)
		return true;
	nr_served = 0;
	pthread_mutex_lock(&l->lock);
	stays = l->nr_readers == 1;
	if (!stays)
		l->nr_readers--;
	pthread_mutex_unlock(&l->lock);
	return stays;
}

static void take(struct lead *l, unsigned max_readers)
{
	pthread_mutex_lock(&l->lock);
	while (l->nr_readers >= max_readers)
		pthread_cond_wait(&l->given, &l->lock);
	l->nr_readers++;
	pthread_mutex_unlock(&l->lock);
	led = l;
}

void lead_take(struct lead *l)
{
	if (!led) {
		nr_served = 0;
		take(l, MAX_READERS);
	} else if (!stays(l)) {
		lead_submit(l);
		led = NULL;
		take(l, 1);
	}
}

void lead_give(void)
{
	struct lead *l = led;
	struct handover h;
	bool none;

	if (!l)
		return;
	led = NULL;
	pthread_mutex_lock(&l->lock);
	held_take(l, &h);
	none = --l->nr_readers == 0;
	pthread_mutex_unlock(&l->lock);
	if (none)
		pthread_cond_signal(&l->given);
	held_submit(&h);
}

struct lead_engine {
	struct bufio_engine head;
	struct bufio_engine *inner;
};

static struct bufio_engine *inner_of(struct bufio_engine *e)
{
	return ((struct lead_engine *)e)->inner;
}

static bool awaits(struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (!(ios[i]->flags & BUFIO_IO_UNAWAITED))
			return true;
	return false;
}

static void submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	if (awaits(ios, nr))
		lead_give();
	else if (nr == 1 && hold(inner_of(e), ios[0]))
		return;
	inner_of(e)->ops->submit(inner_of(e), ios, nr);
}

/* Somebody else asks for something while this thread waits for the device. */
static void asked(struct bufio_watch *w)
{
	if (led)
		atomic_store(&led->crowded, CROWDED);
	lead_give();
}

/* Is there perhaps but one program, which asks for nothing until it is answered? */
static bool seems_alone(struct lead *l)
{
	bool alone;

	pthread_mutex_lock(&l->lock);
	alone = l->nr_readers == 1;
	pthread_mutex_unlock(&l->lock);
	if (!alone || atomic_load(&l->crowded) <= 0)
		return alone;
	/* of two at once both may count */
	atomic_fetch_sub(&l->crowded, 1);
	return false;
}

static int transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct bufio_watch w = {.readable = asked};

	if (led && inner_of(e)->ops->transfer_watching && (io->flags & BUFIO_IO_DURABLE) &&
	    seems_alone(led)) {
		w.fd = led->fd;
		return inner_of(e)->ops->transfer_watching(inner_of(e), io, &w);
	}
	lead_give();
	return inner_of(e)->ops->transfer(inner_of(e), io);
}

static int flush(struct bufio_engine *e)
{
	lead_give();
	return inner_of(e)->ops->flush(inner_of(e));
}

static int discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	lead_give();
	return inner_of(e)->ops->discard(inner_of(e), offset_bytes, size_bytes);
}

static int zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	lead_give();
	return inner_of(e)->ops->zero(inner_of(e), offset_bytes, size_bytes);
}

static void destroy(struct bufio_engine *e)
{
	bufio_engine_destroy(inner_of(e));
	free(e);
}

int lead_engine_create(struct bufio_engine *inner, struct bufio_engine **ret_engine)
{
	static const struct bufio_engine_ops ops = {.submit = submit,
						    .transfer = transfer,
						    .flush = flush,
						    .discard = discard,
						    .zero = zero,
						    .destroy = destroy};
	struct lead_engine *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->head = *inner;
	l->head.ops = &ops;
	l->inner = inner;
	*ret_engine = &l->head;
	return 0;
}
