/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread receives: see lead.h. */
#include "lead.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_READERS 2u

/* Requests in a row without waiting, after which one reader is enough. */
#define CALM 16u

/* What this thread leads; requests since it took that. */
static _Thread_local struct lead *led;
static _Thread_local unsigned nr_served;

void lead_init(struct lead *l)
{
	l->nr_readers = 0;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->given, NULL);
}

void lead_finish(struct lead *l)
{
	pthread_cond_destroy(&l->given);
	pthread_mutex_destroy(&l->lock);
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
		led = NULL;
		take(l, 1);
	}
}

void lead_give(void)
{
	struct lead *l = led;
	bool none;

	if (!l)
		return;
	led = NULL;
	pthread_mutex_lock(&l->lock);
	none = --l->nr_readers == 0;
	pthread_mutex_unlock(&l->lock);
	if (none)
		pthread_cond_signal(&l->given);
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
	inner_of(e)->ops->submit(inner_of(e), ios, nr);
}

static int transfer(struct bufio_engine *e, struct bufio_io *io)
{
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
