/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps calls back in a list of tickets; a call of a thread waits for its own. */
#include "gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_SECONDS 60

struct ticket {
	struct ticket *next;
	struct bufio_io *io; /* of submit(); NULL: a thread waits for passed */
	bool passed;
};

struct gate_engine {
	struct bufio_engine head;
	struct bufio_engine *inner;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	unsigned closed; /* mask */
	struct ticket *kept;
	unsigned nr_kept;
};

static void keep_locked(struct gate_engine *g, struct ticket *t)
{
	struct ticket **link = &g->kept;

	while (*link)
		link = &(*link)->next;
	t->next = NULL;
	*link = t;
	g->nr_kept++;
	pthread_cond_broadcast(&g->changed);
}

static struct ticket *take_locked(struct gate_engine *g, unsigned index)
{
	struct ticket **link = &g->kept, *t;

	for (; *link && index; index--)
		link = &(*link)->next;
	t = *link;
	if (t) {
		*link = t->next;
		g->nr_kept--;
	}
	return t;
}

static void stand(struct gate_engine *g, unsigned op)
{
	struct ticket t = {0};

	pthread_mutex_lock(&g->lock);
	if (g->closed & op) {
		keep_locked(g, &t);
		while (!t.passed)
			pthread_cond_wait(&g->changed, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

static unsigned op_of(const struct bufio_io *io)
{
	return io->op == BUFIO_OP_READ ? BUFIO_FAULT_READ : BUFIO_FAULT_WRITE;
}

static bool keep_io(struct gate_engine *g, struct bufio_io *io)
{
	struct ticket *t = malloc(sizeof(*t));
	bool kept;

	if (!t)
		abort();
	*t = (struct ticket){.io = io};
	pthread_mutex_lock(&g->lock);
	kept = g->closed & op_of(io);
	if (kept)
		keep_locked(g, t);
	pthread_mutex_unlock(&g->lock);
	if (!kept)
		free(t);
	return kept;
}

static void gate_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct gate_engine *g = (struct gate_engine *)e;

	for (unsigned i = 0; i < nr; i++)
		if (!keep_io(g, ios[i]))
			g->inner->ops->submit(g->inner, &ios[i], 1);
}

static int gate_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct gate_engine *g = (struct gate_engine *)e;

	stand(g, op_of(io));
	return g->inner->ops->transfer(g->inner, io);
}

static int gate_flush(struct bufio_engine *e)
{
	struct gate_engine *g = (struct gate_engine *)e;

	stand(g, BUFIO_FAULT_FLUSH);
	return g->inner->ops->flush(g->inner);
}

static int gate_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct gate_engine *g = (struct gate_engine *)e;

	return g->inner->ops->discard(g->inner, offset_bytes, size_bytes);
}

static int gate_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct gate_engine *g = (struct gate_engine *)e;

	return g->inner->ops->zero(g->inner, offset_bytes, size_bytes);
}

static void gate_destroy(struct bufio_engine *e)
{
	struct gate_engine *g = (struct gate_engine *)e;

	bufio_engine_destroy(g->inner);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static const struct bufio_engine_ops gate_ops = {
	.submit = gate_submit,
	.transfer = gate_transfer,
	.flush = gate_flush,
	.discard = gate_discard,
	.zero = gate_zero,
	.destroy = gate_destroy,
};

int gate_create(struct bufio_engine *inner, struct bufio_engine **ret_engine)
{
	struct gate_engine *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->head = *inner;
	g->head.ops = &gate_ops;
	g->head.name = "gate";
	g->inner = inner;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	*ret_engine = &g->head;
	return 0;
}

void gate_close(struct bufio_engine *e, unsigned ops)
{
	struct gate_engine *g = (struct gate_engine *)e;

	pthread_mutex_lock(&g->lock);
	g->closed = ops;
	pthread_mutex_unlock(&g->lock);
}

void gate_wait(struct bufio_engine *e, unsigned nr)
{
	struct gate_engine *g = (struct gate_engine *)e;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&g->lock);
	while (g->nr_kept < nr && !r)
		r = pthread_cond_timedwait(&g->changed, &g->lock, &until);
	if (r) {
		fprintf(stderr, "gate: waited for %u calls, there are %u\n", nr, g->nr_kept);
		abort();
	}
	pthread_mutex_unlock(&g->lock);
}

void gate_pass(struct bufio_engine *e, unsigned index)
{
	struct gate_engine *g = (struct gate_engine *)e;
	struct bufio_io *io = NULL;
	struct ticket *t;

	pthread_mutex_lock(&g->lock);
	t = take_locked(g, index);
	if (t && !t->io) {
		t->passed = true;
		pthread_cond_broadcast(&g->changed);
	} else if (t) {
		io = t->io;
		free(t);
	}
	pthread_mutex_unlock(&g->lock);
	if (io)
		g->inner->ops->submit(g->inner, &io, 1);
}

void gate_open(struct bufio_engine *e)
{
	gate_close(e, 0);
	while (gate_kept(e))
		gate_pass(e, 0);
}

unsigned gate_kept(struct bufio_engine *e)
{
	struct gate_engine *g = (struct gate_engine *)e;
	unsigned nr;

	pthread_mutex_lock(&g->lock);
	nr = g->nr_kept;
	pthread_mutex_unlock(&g->lock);
	return nr;
}
