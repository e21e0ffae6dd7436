/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine that fails on request, around any other one.  Decides per call and passes the
 * rest on; knows nothing of what it wraps.
 *
 * A delay is slept in the calling thread, also in submit(): the transfers behind it in
 * the same call wait with it, those of other threads do not.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <bufio_test_engine.h>
#include "engine.h"

#define TORN_PARTS 64

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	L  lock, which is not held while the inner engine is called
 */
struct fault_engine {
	struct bufio_engine head;   /* I */
	struct bufio_engine *inner; /* I */
	pthread_mutex_t lock;
	struct bufio_fault rule; /* L; ops 0: none */
	unsigned matched;	 /* L */
	unsigned failed;	 /* L */
	bool torn;		 /* L */
};

/* What is to happen to one call. */
struct verdict {
	int error;
	unsigned delay_us;
	bool torn;
};

static bool rule_matches_locked(const struct fault_engine *f, unsigned op, uint64_t start_bytes,
				uint64_t size_bytes)
{
	const struct bufio_fault *rule = &f->rule;

	if (!(rule->ops & op))
		return false;
	if (op == BUFIO_FAULT_FLUSH || !rule->end_bytes)
		return true;
	return start_bytes < rule->end_bytes && size_bytes > 0 &&
	       (rule->start_bytes < start_bytes || rule->start_bytes - start_bytes < size_bytes);
}

static struct verdict judge(struct fault_engine *f, unsigned op, uint64_t start_bytes,
			    uint64_t size_bytes)
{
	struct verdict v = {0};
	unsigned first;

	pthread_mutex_lock(&f->lock);
	if (rule_matches_locked(f, op, start_bytes, size_bytes)) {
		first = f->rule.first ? f->rule.first : 1;
		f->matched++;
		v.delay_us = f->rule.delay_us;
		v.torn = f->torn;
		if (f->rule.error && f->matched >= first &&
		    (!f->rule.count || f->matched - first < f->rule.count)) {
			f->failed++;
			v.error = f->rule.error;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return v;
}

static struct verdict judge_io(struct fault_engine *f, const struct bufio_io *io)
{
	return judge(f, io->op == BUFIO_OP_READ ? BUFIO_FAULT_READ : BUFIO_FAULT_WRITE,
		     io->offset_bytes, io->size_bytes);
}

static void delay(unsigned delay_us)
{
	struct timespec left = {delay_us / 1000000, delay_us % 1000000 * 1000L};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* The write fails anyway, so what comes of its first half is of no interest. */
static void tear(struct fault_engine *f, const struct bufio_io *io)
{
	size_t half = io->size_bytes / f->head.sector_bytes / 2 * f->head.sector_bytes;
	struct iovec parts[TORN_PARTS];
	struct engine_window w;
	struct bufio_io piece;
	size_t at;

	for (at = 0; at < half; at += w.size_bytes) {
		w = (struct engine_window){parts, TORN_PARTS, half - at};
		engine_window_cut(&w, io, at);
		if (!w.size_bytes)
			return;
		piece = *io;
		piece.offset_bytes = io->offset_bytes + at;
		piece.iov = w.iov;
		piece.nr_iov = w.nr_iov;
		piece.size_bytes = w.size_bytes;
		if (f->inner->ops->transfer(f->inner, &piece))
			return;
	}
}

static void fail_io(struct fault_engine *f, const struct bufio_io *io, const struct verdict *v)
{
	if (io->op == BUFIO_OP_WRITE && v->torn)
		tear(f, io);
}

static void pass_on(struct fault_engine *f, struct bufio_io *const *ios, unsigned nr)
{
	if (nr)
		f->inner->ops->submit(f->inner, ios, nr);
}

static void fault_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct fault_engine *f = (struct fault_engine *)e;
	unsigned i, passed = 0;

	for (i = 0; i < nr; i++) {
		struct verdict v = judge_io(f, ios[i]);

		if (!v.delay_us && !v.error)
			continue;
		/* The delay is this transfer's: do not hold up those before it. */
		pass_on(f, ios + passed, i - passed);
		passed = i;
		if (v.delay_us)
			delay(v.delay_us);
		if (v.error) {
			fail_io(f, ios[i], &v);
			ios[i]->done(ios[i], v.error);
			passed++;
		}
	}
	pass_on(f, ios + passed, nr - passed);
}

static int fault_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct fault_engine *f = (struct fault_engine *)e;
	struct verdict v = judge_io(f, io);

	if (v.delay_us)
		delay(v.delay_us);
	if (v.error) {
		fail_io(f, io, &v);
		return v.error;
	}
	return f->inner->ops->transfer(f->inner, io);
}

static int fault_flush(struct bufio_engine *e)
{
	struct fault_engine *f = (struct fault_engine *)e;
	struct verdict v = judge(f, BUFIO_FAULT_FLUSH, 0, 0);

	if (v.delay_us)
		delay(v.delay_us);
	return v.error ? v.error : f->inner->ops->flush(f->inner);
}

static int fault_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct fault_engine *f = (struct fault_engine *)e;
	struct verdict v = judge(f, BUFIO_FAULT_DISCARD, offset_bytes, size_bytes);

	if (v.delay_us)
		delay(v.delay_us);
	return v.error ? v.error : f->inner->ops->discard(f->inner, offset_bytes, size_bytes);
}

static int fault_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct fault_engine *f = (struct fault_engine *)e;
	struct verdict v = judge(f, BUFIO_FAULT_DISCARD, offset_bytes, size_bytes);

	if (v.delay_us)
		delay(v.delay_us);
	return v.error ? v.error : f->inner->ops->zero(f->inner, offset_bytes, size_bytes);
}

static void fault_destroy(struct bufio_engine *e)
{
	struct fault_engine *f = (struct fault_engine *)e;

	bufio_engine_destroy(f->inner);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct bufio_engine_ops fault_ops = {
	.submit = fault_submit,
	.transfer = fault_transfer,
	.flush = fault_flush,
	.discard = fault_discard,
	.zero = fault_zero,
	.destroy = fault_destroy,
};

int bufio_engine_fault_create(struct bufio_engine *inner, struct bufio_engine **ret_engine)
{
	struct fault_engine *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->head = *inner;
	f->head.ops = &fault_ops;
	f->head.name = "fault";
	f->inner = inner;
	pthread_mutex_init(&f->lock, NULL);
	*ret_engine = &f->head;
	return 0;
}

void bufio_engine_fault_set(struct bufio_engine *e, const struct bufio_fault *fault)
{
	struct fault_engine *f = (struct fault_engine *)e;

	pthread_mutex_lock(&f->lock);
	f->rule = fault ? *fault : (struct bufio_fault){0};
	f->matched = 0;
	f->failed = 0;
	pthread_mutex_unlock(&f->lock);
}

void bufio_engine_fault_torn(struct bufio_engine *e, bool torn)
{
	struct fault_engine *f = (struct fault_engine *)e;

	pthread_mutex_lock(&f->lock);
	f->torn = torn;
	pthread_mutex_unlock(&f->lock);
}

unsigned bufio_engine_fault_matched(struct bufio_engine *e)
{
	struct fault_engine *f = (struct fault_engine *)e;
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->matched;
	pthread_mutex_unlock(&f->lock);
	return n;
}

unsigned bufio_engine_fault_failed(struct bufio_engine *e)
{
	struct fault_engine *f = (struct fault_engine *)e;
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->failed;
	pthread_mutex_unlock(&f->lock);
	return n;
}
