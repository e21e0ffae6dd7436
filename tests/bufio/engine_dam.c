/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine_dam.h"
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

struct dam {
	struct bufio_engine head;
	struct bufio_engine *inner;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned closed, nr_waiting, fail_what, nr_fail;
	int error;
	struct bufio_io *parked;
	struct dam_counts counts;
};

static unsigned kind_of(const struct bufio_io *io)
{
	return io->op == BUFIO_OP_READ ? DAM_READ : DAM_WRITE;
}

static void count_locked(struct dam *g, const struct bufio_io *io)
{
	struct dam_counts *n = &g->counts;

	*(io->op == BUFIO_OP_READ ? &n->reads : &n->writes) += 1;
	*(io->op == BUFIO_OP_READ ? &n->read_bytes : &n->write_bytes) += io->size_bytes;
	if (io->size_bytes > n->largest_bytes)
		n->largest_bytes = io->size_bytes;
	n->last_base = io->iov[0].iov_base;
	n->last_offset = io->offset_bytes;
	n->last_bytes = io->size_bytes;
	n->last_ioprio = io->ioprio;
}

static int verdict(struct dam *g, unsigned what)
{
	int r = 0;

	pthread_mutex_lock(&g->lock);
	if ((g->fail_what & what) && g->nr_fail) {
		g->nr_fail--;
		r = g->error;
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

/* In the calling thread. */
static int pass(struct dam *g, unsigned what, const struct bufio_io *io)
{
	pthread_mutex_lock(&g->lock);
	if (io)
		count_locked(g, io);
	else
		g->counts.flushes++;
	if (g->closed & what) {
		g->nr_waiting++;
		pthread_cond_broadcast(&g->wake);
		while (g->closed & what)
			pthread_cond_wait(&g->wake, &g->lock);
		g->nr_waiting--;
	}
	pthread_mutex_unlock(&g->lock);
	return verdict(g, what);
}

static void hand_on(struct dam *g, struct bufio_io *io)
{
	int r = verdict(g, kind_of(io));

	if (r)
		io->done(io, r);
	else
		g->inner->ops->submit(g->inner, &io, 1);
}

static void dam_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	g->counts.submits++;
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < nr; i++) {
		struct bufio_io *io = ios[i];
		bool parks;

		pthread_mutex_lock(&g->lock);
		count_locked(g, io);
		parks = g->closed & kind_of(io);
		if (parks) {
			io->next = g->parked;
			g->parked = io;
			g->nr_waiting++;
			pthread_cond_broadcast(&g->wake);
		}
		pthread_mutex_unlock(&g->lock);
		if (!parks)
			hand_on(g, io);
	}
}

static int dam_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct dam *g = (struct dam *)e;
	int r = pass(g, kind_of(io), io);

	return r ? r : g->inner->ops->transfer(g->inner, io);
}

static int dam_flush(struct bufio_engine *e)
{
	struct dam *g = (struct dam *)e;
	int r = pass(g, DAM_FLUSH, NULL);

	return r ? r : g->inner->ops->flush(g->inner);
}

static int dam_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct dam *g = (struct dam *)e;

	return g->inner->ops->discard(g->inner, offset_bytes, size_bytes);
}

static int dam_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct dam *g = (struct dam *)e;

	return g->inner->ops->zero(g->inner, offset_bytes, size_bytes);
}

static void dam_destroy(struct bufio_engine *e)
{
	struct dam *g = (struct dam *)e;

	bufio_engine_destroy(g->inner);
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static const struct bufio_engine_ops dam_ops = {
	.submit = dam_submit,
	.transfer = dam_transfer,
	.flush = dam_flush,
	.discard = dam_discard,
	.zero = dam_zero,
	.destroy = dam_destroy,
};

struct bufio_engine *dam_create(struct bufio_engine *inner)
{
	struct dam *g = calloc(1, sizeof(*g));

	ck_assert_ptr_nonnull(g);
	g->head = *inner;
	g->head.ops = &dam_ops;
	g->head.name = "dam";
	g->inner = inner;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->wake, NULL);
	return &g->head;
}

void dam_close(struct bufio_engine *e, unsigned what)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	g->closed |= what;
	pthread_mutex_unlock(&g->lock);
}

/* A parked transfer of one of the kinds, or NULL. */
static struct bufio_io *take_parked(struct dam *g, unsigned what)
{
	struct bufio_io **link = &g->parked, *io;

	pthread_mutex_lock(&g->lock);
	while (*link && !(kind_of(*link) & what))
		link = &(*link)->next;
	io = *link;
	if (io) {
		*link = io->next;
		g->nr_waiting--;
	}
	pthread_mutex_unlock(&g->lock);
	return io;
}

void dam_open(struct bufio_engine *e, unsigned what)
{
	struct dam *g = (struct dam *)e;
	struct bufio_io *io;

	pthread_mutex_lock(&g->lock);
	g->closed &= ~what;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
	while ((io = take_parked(g, what)))
		hand_on(g, io);
}

void dam_pass(struct bufio_engine *e, unsigned what, unsigned nr)
{
	struct dam *g = (struct dam *)e;
	struct bufio_io *io;

	while (nr-- && (io = take_parked(g, what)))
		hand_on(g, io);
}

void dam_wait(struct bufio_engine *e, unsigned nr)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	while (g->nr_waiting < nr)
		pthread_cond_wait(&g->wake, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

void dam_fail(struct bufio_engine *e, unsigned what, unsigned nr, int error)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	g->fail_what = what;
	g->nr_fail = nr;
	g->error = error;
	pthread_mutex_unlock(&g->lock);
}

void dam_counts(struct bufio_engine *e, struct dam_counts *ret)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	*ret = g->counts;
	pthread_mutex_unlock(&g->lock);
}

void dam_reset(struct bufio_engine *e)
{
	struct dam *g = (struct dam *)e;

	pthread_mutex_lock(&g->lock);
	g->counts = (struct dam_counts){0};
	pthread_mutex_unlock(&g->lock);
}
