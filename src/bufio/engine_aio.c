/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libaio with O_DIRECT: a fixed number of slots, each one iocb; submitters fill slots and
 * hand them to the kernel, one thread reaps what completes and calls done().
 * Calls engine_file.c and libaio.
 *
 * 1. A slot is on the free list, or given: to the kernel or to a thread about to hand it over.
 *    A submitter waits for slots holding none, so what is accepted gets to the device without it.
 * 2. The kernel is asked again (-EAGAIN) only after a completion has made room.  If nothing is
 *    given that could complete, the submitter does the transfer itself: progress needs no luck.
 * 3. The reaper blocks in io_getevents() alone.  What is left of a short transfer it submits
 *    once more from there; what the kernel will not take then, it transfers itself.
 * 4. Durable writes are one iocb with RWF_DSYNC.  Where that is refused they are done in the
 *    thread that submits them, so that the reaper need not wait for the device's cache; only
 *    one whose refusal shows up in its completion is done by the reaper.
 * 5. transfer() of a durable write goes through a context of its own: see engine_durable.c.
 *
 * A context belongs to the process that made it: a child of fork() gets -EPERM.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "engine_durable.h"

#define BATCH		64
#define MIN_QUEUE_DEPTH 8u
#define FLAG_IOPRIO	(1u << 1) /* IOCB_FLAG_IOPRIO, which libaio.h has not */

struct aio_slot {
	struct iocb iocb;
	struct bufio_io *_Atomic io; /* stored last: passes the slot on to the reaper */
	size_t done_bytes;
	struct iovec *rest;    /* of a short transfer; NULL before */
	struct aio_slot *next; /* on the free list, or finished */
};

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	a  atomic
 *	L  lock, which is never held in a system call or in done()
 * A slot that is not on the free list belongs to the thread that took it, then the reaper.
 */
struct aio_engine {
	struct engine_file file;
	io_context_t context;	  /* I */
	struct aio_slot *slots;	  /* I */
	unsigned nr_slots;	  /* I */
	pthread_t reaper;	  /* I */
	int stop_fd;		  /* I; eventfd that ends the reaper */
	struct iocb stop;	  /* I; polls it */
	atomic_bool durable_here; /* a; RWF_DSYNC does not work through libaio */

	struct engine_durable durable; /* transfer() of durable writes */

	pthread_mutex_t lock;
	pthread_cond_t wake;   /* with L: a slot came back, or nr_given fell to 0 */
	struct aio_slot *free; /* L */
	unsigned nr_given;     /* L; to the kernel, or just about to be */
	uint64_t nr_returned;  /* L; how many ever came back */
};

/* A submitter's slots, and what it knew of returns before it called the kernel. */
struct aio_batch {
	struct aio_slot *slots[BATCH];
	struct iocb *iocbs[BATCH];
	unsigned nr;
	uint64_t nr_returned;
};

/* Slots. */

/* Take up to nr slots, at least one. */
static void slots_take(struct aio_engine *a, struct aio_batch *b, unsigned nr)
{
	b->nr = 0;
	pthread_mutex_lock(&a->lock);
	while (!a->free)
		pthread_cond_wait(&a->wake, &a->lock);
	while (a->free && b->nr < nr) {
		b->slots[b->nr++] = a->free;
		a->free = a->free->next;
	}
	a->nr_given += b->nr;
	b->nr_returned = a->nr_returned;
	pthread_mutex_unlock(&a->lock);
}

static void slots_return(struct aio_engine *a, struct aio_slot *list)
{
	struct aio_slot *slot;

	if (!list)
		return;
	pthread_mutex_lock(&a->lock);
	while ((slot = list)) {
		list = slot->next;
		slot->next = a->free;
		a->free = slot;
		a->nr_given--;
		a->nr_returned++;
	}
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

/*
 * The kernel had no room for the last nr_left of b.  Wait for something to come back.
 * Returns false if nothing is given that could: no use in asking the kernel again.
 */
static bool room_wait(struct aio_engine *a, struct aio_batch *b, unsigned nr_left)
{
	bool returned;

	pthread_mutex_lock(&a->lock);
	a->nr_given -= nr_left;
	if (a->nr_given == 0)
		pthread_cond_broadcast(&a->wake);
	while (a->nr_given > 0 && a->nr_returned == b->nr_returned)
		pthread_cond_wait(&a->wake, &a->lock);
	returned = a->nr_returned != b->nr_returned;
	b->nr_returned = a->nr_returned;
	a->nr_given += nr_left;
	pthread_mutex_unlock(&a->lock);
	return returned;
}

static bool is_durable(const struct bufio_io *io)
{
	return io->op == BUFIO_OP_WRITE && (io->flags & BUFIO_IO_DURABLE);
}

static void slot_prepare(struct aio_engine *a, struct aio_slot *slot, const struct bufio_io *io,
			 const struct engine_window *w)
{
	const struct engine_file_config *config = &a->file.config;
	off_t offset = (off_t)(config->start_bytes + io->offset_bytes + slot->done_bytes);

	if (io->op == BUFIO_OP_READ)
		io_prep_preadv(&slot->iocb, config->fd, w->iov, (int)w->nr_iov, offset);
	else
		io_prep_pwritev(&slot->iocb, config->fd, w->iov, (int)w->nr_iov, offset);
	if (is_durable(io))
		slot->iocb.aio_rw_flags = RWF_DSYNC;
	if (io->ioprio) {
		slot->iocb.u.c.flags |= FLAG_IOPRIO;
		slot->iocb.aio_reqprio = (short)io->ioprio;
	}
	slot->iocb.data = slot;
}

static void slot_start(struct aio_engine *a, struct aio_slot *slot, struct bufio_io *io)
{
	struct engine_window w = {(struct iovec *)io->iov, io->nr_iov, io->size_bytes};

	slot->done_bytes = 0;
	slot_prepare(a, slot, io, &w);
	atomic_store_explicit(&slot->io, io, memory_order_release);
}

static void slot_done(struct aio_slot *slot, struct bufio_io *io, int result)
{
	free(slot->rest);
	slot->rest = NULL;
	io->done(io, result);
}

/* The kernel did not take the slot, or not with RWF_DSYNC: do without libaio. */
static int slot_transfer(struct aio_engine *a, const struct aio_slot *slot,
			 const struct bufio_io *io)
{
	return engine_file_transfer(&a->file, io, slot->done_bytes);
}

static bool maybe_durable_refused(const struct bufio_io *io, int error)
{
	return is_durable(io) && (error == -EOPNOTSUPP || error == -EINVAL);
}

/* error came for a durable write.  Was it because of RWF_DSYNC?  Returns the write's result. */
static int slot_durable_retry(struct aio_engine *a, const struct aio_slot *slot,
			      const struct bufio_io *io)
{
	int r;

	r = slot_transfer(a, slot, io);
	if (r == 0)
		a->durable_here = true;
	return r;
}

/* Submitting. */

/* One of b's slots does not get to the kernel. */
static void batch_drop(struct aio_engine *a, struct aio_batch *b, struct aio_slot *slot, int error)
{
	struct bufio_io *io = slot->io;

	/* A priority is refused to who may not have it, and by old kernels. */
	if (error == -EAGAIN || (io->ioprio && (error == -EPERM || error == -EINVAL)))
		error = slot_transfer(a, slot, io);
	else if (maybe_durable_refused(io, error))
		error = slot_durable_retry(a, slot, io);
	slot_done(slot, io, error);
	slot->next = NULL;
	slots_return(a, slot);
	/* Has made no room in the kernel. */
	b->nr_returned++;
}

static void batch_submit(struct aio_engine *a, struct aio_batch *b)
{
	unsigned at = 0;
	int r;

	while (at < b->nr) {
		r = a->file.config.sys->io_submit(a->context, (long)(b->nr - at), b->iocbs + at);
		if (r > 0)
			at += (unsigned)r;
		else if (r == 0 || r == -EAGAIN) {
			if (!room_wait(a, b, b->nr - at))
				batch_drop(a, b, b->slots[at++], -EAGAIN);
		} else if (r != -EINTR) {
			batch_drop(a, b, b->slots[at++], r);
		}
	}
}

/* Hand over ios that are known to be good. */
static void submit_good(struct aio_engine *a, struct bufio_io *const *ios, unsigned nr)
{
	struct aio_batch b;
	unsigned i;

	for (; nr; nr -= b.nr, ios += b.nr) {
		slots_take(a, &b, nr);
		for (i = 0; i < b.nr; i++) {
			slot_start(a, b.slots[i], ios[i]);
			b.iocbs[i] = &b.slots[i]->iocb;
		}
		batch_submit(a, &b);
	}
}

/* Returns true if io goes to the kernel's queue, else it is done. */
static bool submit_sort(struct aio_engine *a, bool inherited, struct bufio_io *io)
{
	int r;

	r = inherited ? -EPERM : engine_check_io(&a->file.head, io);
	if (r == 0 && !(is_durable(io) && a->durable_here))
		return true;
	if (r == 0)
		r = engine_file_transfer(&a->file, io, 0);
	io->done(io, r);
	return false;
}

static void aio_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct aio_engine *a = (struct aio_engine *)e;
	bool inherited = engine_file_inherited(&a->file);
	struct bufio_io *good[BATCH];
	unsigned i, n = 0;

	for (i = 0; i < nr; i++) {
		/* What is done in this thread must not hold up what came before it. */
		if (n == BATCH || (n && a->durable_here && is_durable(ios[i]))) {
			submit_good(a, good, n);
			n = 0;
		}
		if (submit_sort(a, inherited, ios[i]))
			good[n++] = ios[i];
	}
	submit_good(a, good, n);
}

static int durable_transfer(struct aio_engine *a, const struct bufio_io *io, struct bufio_watch *w)
{
	struct aio_slot slot = {.done_bytes = 0};
	int r = 0, result = engine_durable_write(&a->durable, &a->file, io, w);

	if (result == -EAGAIN ||
	    engine_file_step(&a->file, io, result, &slot.done_bytes, &r) == ENGINE_STEP_MORE)
		return slot_transfer(a, &slot, io);
	return maybe_durable_refused(io, r) ? slot_durable_retry(a, &slot, io) : r;
}

static int aio_transfer_watching(struct bufio_engine *e, struct bufio_io *io, struct bufio_watch *w)
{
	struct aio_engine *a = (struct aio_engine *)e;
	int r;

	r = engine_file_check(&a->file, io);
	if (r)
		return r;
	if (is_durable(io) && !a->durable_here)
		return durable_transfer(a, io, w);
	if (w)
		w->readable(w);
	return engine_file_transfer(&a->file, io, 0);
}

static int aio_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	return aio_transfer_watching(e, io, NULL);
}

/* Reaping. */

/* Submit what is left of a short transfer.  Returns false if the kernel will not have it. */
static bool slot_resubmit(struct aio_engine *a, struct aio_slot *slot, const struct bufio_io *io)
{
	struct engine_window w = {slot->rest, io->nr_iov, io->size_bytes - slot->done_bytes};
	struct iocb *iocb = &slot->iocb;
	int r;

	if (!w.iov)
		w.iov = slot->rest = malloc(io->nr_iov * sizeof(*slot->rest));
	if (!w.iov)
		return false;
	engine_window_cut(&w, io, slot->done_bytes);
	slot_prepare(a, slot, io, &w);
	do {
		r = a->file.config.sys->io_submit(a->context, 1, &iocb);
	} while (r == -EINTR);
	return r == 1;
}

/* Returns true if the slot's transfer is done with. */
static bool slot_reap(struct aio_engine *a, struct aio_slot *slot, ssize_t result)
{
	struct bufio_io *io = atomic_load_explicit(&slot->io, memory_order_acquire);
	enum engine_step step;
	int r = 0;

	step = engine_file_step(&a->file, io, result, &slot->done_bytes, &r);
	if (step == ENGINE_STEP_MORE) {
		if (slot_resubmit(a, slot, io))
			return false;
		r = slot_transfer(a, slot, io);
	} else if (maybe_durable_refused(io, r)) {
		r = slot_durable_retry(a, slot, io);
	}
	slot_done(slot, io, r);
	return true;
}

static void *reaper_thread(void *argument)
{
	struct aio_engine *a = argument;
	struct io_event events[BATCH];
	bool stop = false;
	int i, n;

	while (!stop) {
		struct aio_slot *finished = NULL;

		n = a->file.config.sys->io_getevents(a->context, 1, BATCH, events, NULL);
		/* Anything else would mean that the context is not ours. */
		assert(n > 0 || n == -EINTR);
		for (i = 0; i < n; i++) {
			struct aio_slot *slot = events[i].data;

			if (!slot) {
				stop = true;
			} else if (slot_reap(a, slot, (ssize_t)(long)events[i].res)) {
				slot->next = finished;
				finished = slot;
			}
		}
		slots_return(a, finished);
	}
	return NULL;
}

/* Creation and destruction. */

static int reaper_create(struct aio_engine *a)
{
	sigset_t all, old;
	int r;

	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&a->reaper, NULL, reaper_thread, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void reaper_stop(struct aio_engine *a)
{
	uint64_t one = 1;

	pthread_mutex_lock(&a->lock);
	while (a->nr_given)
		pthread_cond_wait(&a->wake, &a->lock);
	pthread_mutex_unlock(&a->lock);
	while (write(a->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(a->reaper, NULL);
}

/* A slot more than asked for is needed for the poll of stop_fd. */
static int context_create(struct aio_engine *a, unsigned depth)
{
	int r;

	while ((r = a->file.config.sys->io_setup((int)depth + 1, &a->context)) == -EAGAIN &&
	       depth > MIN_QUEUE_DEPTH)
		depth /= 2;
	if (r == 0)
		a->nr_slots = depth;
	return r;
}

static int stop_create(struct aio_engine *a)
{
	struct iocb *iocb = &a->stop;
	int r;

	a->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (a->stop_fd < 0)
		return -errno;
	io_prep_poll(&a->stop, a->stop_fd, POLLIN);
	r = a->file.config.sys->io_submit(a->context, 1, &iocb);
	if (r == 1)
		return 0;
	close(a->stop_fd);
	return r < 0 ? r : -EAGAIN;
}

static int slots_create(struct aio_engine *a)
{
	unsigned i;

	a->slots = calloc(a->nr_slots, sizeof(*a->slots));
	if (!a->slots)
		return -ENOMEM;
	for (i = 0; i < a->nr_slots; i++) {
		a->slots[i].next = a->free;
		a->free = &a->slots[i];
	}
	return 0;
}

static int aio_start(struct aio_engine *a, unsigned queue_depth)
{
	int r;

	r = context_create(a, queue_depth);
	if (r)
		return r;
	r = slots_create(a);
	if (r)
		goto fail_context;
	r = stop_create(a);
	if (r)
		goto fail_slots;
	r = reaper_create(a);
	if (r)
		goto fail_stop;
	return 0;

fail_stop:
	close(a->stop_fd);
fail_slots:
	free(a->slots);
fail_context:
	io_destroy(a->context);
	return r;
}

static void aio_destroy(struct bufio_engine *e)
{
	struct aio_engine *a = (struct aio_engine *)e;

	/* The thread and the context stayed with the parent. */
	if (!engine_file_inherited(&a->file)) {
		reaper_stop(a);
		io_destroy(a->context);
		engine_durable_finish(&a->durable);
		pthread_cond_destroy(&a->wake);
		pthread_mutex_destroy(&a->lock);
	}
	close(a->stop_fd);
	engine_file_finish(&a->file);
	free(a->slots);
	free(a);
}

static const struct bufio_engine_ops aio_ops = {
	.submit = aio_submit,
	.transfer = aio_transfer,
	.transfer_watching = aio_transfer_watching,
	.flush = engine_file_flush,
	.discard = engine_file_discard,
	.zero = engine_file_zero,
	.destroy = aio_destroy,
};

int engine_aio_create(const struct engine_file_config *config, unsigned queue_depth,
		      struct bufio_engine **ret_engine)
{
	struct aio_engine *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	engine_file_init(&a->file, config, &aio_ops, "aio");
	pthread_mutex_init(&a->lock, NULL);
	engine_durable_init(&a->durable);
	pthread_cond_init(&a->wake, NULL);
	r = aio_start(a, queue_depth);
	if (r) {
		pthread_cond_destroy(&a->wake);
		engine_durable_finish(&a->durable);
		pthread_mutex_destroy(&a->lock);
		pthread_mutex_destroy(&a->file.flush_lock);
		free(a);
		return r;
	}
	*ret_engine = &a->file.head;
	return 0;
}
