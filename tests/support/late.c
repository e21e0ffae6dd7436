/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See late.h. */
#include "late.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* So long something lies before it begins to end: a moment for a program, and no time to wait for. */
#define MOMENT_NS 500000L

struct late_engine {
	struct bufio_engine head;
	struct bufio_engine *inner;
	pthread_t thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct bufio_io *queue;
	unsigned nr_queued;
	bool stopping;
	uint64_t random; /* the thread's */
};

static unsigned draw(struct late_engine *l, unsigned below)
{
	l->random = l->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(l->random >> 33) % below;
}

static struct bufio_io *take_locked(struct late_engine *l)
{
	struct bufio_io **link = &l->queue, *io;

	for (unsigned n = draw(l, l->nr_queued); n; n--)
		link = &(*link)->next;
	io = *link;
	*link = io->next;
	l->nr_queued--;
	return io;
}

/* NULL: it is to end. */
static struct bufio_io *next(struct late_engine *l)
{
	const struct timespec moment = {.tv_nsec = MOMENT_NS};
	struct bufio_io *io = NULL;

	pthread_mutex_lock(&l->lock);
	while (!l->nr_queued && !l->stopping)
		pthread_cond_wait(&l->wake, &l->lock);
	if (!l->stopping) {
		pthread_mutex_unlock(&l->lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&l->lock);
	}
	if (l->nr_queued)
		io = take_locked(l);
	pthread_mutex_unlock(&l->lock);
	return io;
}

static void *run(void *context)
{
	struct late_engine *l = context;
	struct bufio_io *io;

	while ((io = next(l)))
		io->done(io, l->inner->ops->transfer(l->inner, io));
	return NULL;
}

static void keep(struct late_engine *l, struct bufio_io *io)
{
	pthread_mutex_lock(&l->lock);
	io->next = l->queue;
	l->queue = io;
	l->nr_queued++;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

static void late_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct late_engine *l = (struct late_engine *)e;

	for (unsigned i = 0; i < nr; i++) {
		if (ios[i]->op == BUFIO_OP_WRITE && ios[i]->flags & BUFIO_IO_UNAWAITED)
			keep(l, ios[i]);
		else
			l->inner->ops->submit(l->inner, &ios[i], 1);
	}
}

static int late_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct late_engine *l = (struct late_engine *)e;

	return l->inner->ops->transfer(l->inner, io);
}

static int late_flush(struct bufio_engine *e)
{
	struct late_engine *l = (struct late_engine *)e;

	return l->inner->ops->flush(l->inner);
}

static int late_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct late_engine *l = (struct late_engine *)e;

	return l->inner->ops->discard(l->inner, offset_bytes, size_bytes);
}

static int late_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct late_engine *l = (struct late_engine *)e;

	return l->inner->ops->zero(l->inner, offset_bytes, size_bytes);
}

static void late_destroy(struct bufio_engine *e)
{
	struct late_engine *l = (struct late_engine *)e;

	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	bufio_engine_destroy(l->inner);
	free(l);
}

static const struct bufio_engine_ops late_ops = {
	.submit = late_submit,
	.transfer = late_transfer,
	.flush = late_flush,
	.discard = late_discard,
	.zero = late_zero,
	.destroy = late_destroy,
};

int late_create(struct bufio_engine *inner, uint64_t seed, struct bufio_engine **ret_engine)
{
	struct late_engine *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->head = *inner;
	l->head.ops = &late_ops;
	l->head.name = "late";
	l->inner = inner;
	l->random = seed;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	r = -pthread_create(&l->thread, NULL, run, l);
	if (r < 0) {
		free(l);
		return r;
	}
	*ret_engine = &l->head;
	return 0;
}
