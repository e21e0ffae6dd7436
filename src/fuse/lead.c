/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread receives: see lead.h. */
#include "lead.h"

#include <errno.h>
#include <stdlib.h>

/* What this thread leads. */
static _Thread_local struct lead *led;

void lead_init(struct lead *l)
{
	l->taken = false;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->given, NULL);
}

void lead_finish(struct lead *l)
{
	pthread_cond_destroy(&l->given);
	pthread_mutex_destroy(&l->lock);
}

void lead_take(struct lead *l)
{
	if (led)
		return;
	pthread_mutex_lock(&l->lock);
	while (l->taken)
		pthread_cond_wait(&l->given, &l->lock);
	l->taken = true;
	pthread_mutex_unlock(&l->lock);
	led = l;
}

void lead_give(void)
{
	struct lead *l = led;

	if (!l)
		return;
	led = NULL;
	pthread_mutex_lock(&l->lock);
	l->taken = false;
	pthread_mutex_unlock(&l->lock);
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
