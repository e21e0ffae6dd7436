/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Durable writes, each through a context of libaio that its thread waits for: a journal's commit is not to
 * wait for the reaper to wake, and pwritev2() would flush after the FUA write.
 *
 * Meanwhile the thread may watch a descriptor.  It sleeps in poll() then, on that one and on an eventfd
 * that the completion signals, and leaves it alone as soon as it was readable.  An eventfd
 * that is signalled means no more than that it is worth to look for the event.
 */
#include "engine_durable.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void engine_durable_init(struct engine_durable *d)
{
	for (unsigned i = 0; i < ENGINE_DURABLE_LANES; i++) {
		pthread_mutex_init(&d->lanes[i].lock, NULL);
		d->lanes[i].context = NULL;
		d->lanes[i].done_fd = -1;
	}
}

static void finish_lane(struct durable_lane *l)
{
	if (l->context)
		io_destroy(l->context);
	if (l->done_fd >= 0)
		close(l->done_fd);
	pthread_mutex_destroy(&l->lock);
}

void engine_durable_finish(struct engine_durable *d)
{
	for (unsigned i = 0; i < ENGINE_DURABLE_LANES; i++)
		finish_lane(&d->lanes[i]);
}

static void told(struct bufio_watch **w)
{
	if (*w)
		(*w)->readable(*w);
	*w = NULL;
}

/* A lane for this thread alone.  If all are taken others' writes come first: nobody watches meanwhile. */
static struct durable_lane *lock(struct engine_durable *d, struct bufio_watch **w)
{
	for (unsigned i = 0; i < ENGINE_DURABLE_LANES; i++)
		if (pthread_mutex_trylock(&d->lanes[i].lock) == 0)
			return &d->lanes[i];
	told(w);
	pthread_mutex_lock(&d->lanes[0].lock);
	return &d->lanes[0];
}

static int setup_locked(struct durable_lane *l, const struct engine_file *f)
{
	int r;

	if (l->context)
		return 0;
	r = f->config.sys->io_setup(1, &l->context);
	if (r == 0)
		l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r;
}

/* Sleep until the write seems to have ended or w is readable. */
static void watch(struct durable_lane *l, struct bufio_watch **w)
{
	struct pollfd p[] = {{.fd = l->done_fd, .events = POLLIN},
			     {.fd = (*w)->fd, .events = POLLIN}};
	uint64_t nr;
	ssize_t n;

	if (poll(p, 2, -1) < 0)
		return;
	if (p[1].revents)
		told(w);
	if (p[0].revents) {
		n = read(l->done_fd, &nr, sizeof(nr));
		(void)n; /* it only becomes unreadable */
	}
}

/* Is there an event?  Waits for it if there is nothing to watch. */
static int look(struct durable_lane *l, const struct engine_sys *sys, bool watches,
		struct io_event *event)
{
	struct timespec now = {0};
	int n;

	do {
		n = sys->io_getevents(l->context, 1, 1, event, watches ? &now : NULL);
	} while (n == -EINTR);
	assert(n >= 0);
	return n;
}

static int await(struct durable_lane *l, const struct engine_sys *sys, struct bufio_watch **w)
{
	struct io_event event;

	do {
		if (*w)
			watch(l, w);
	} while (look(l, sys, *w != NULL, &event) == 0);
	return (int)(long)event.res;
}

static int write_locked(struct durable_lane *l, const struct engine_file *f,
			const struct bufio_io *io, struct bufio_watch **w)
{
	const struct engine_sys *sys = f->config.sys;
	struct iocb iocb, *list = &iocb;
	int r;

	io_prep_pwritev(&iocb, f->config.fd, io->iov, (int)io->nr_iov,
			(off_t)(f->config.start_bytes + io->offset_bytes));
	iocb.aio_rw_flags = RWF_DSYNC;
	iocb.data = &iocb;
	if (l->done_fd < 0)
		told(w);
	if (*w)
		io_set_eventfd(&iocb, l->done_fd);
	do {
		r = sys->io_submit(l->context, 1, &list);
	} while (r == -EINTR);
	if (r != 1)
		return r < 0 ? r : -EAGAIN;
	return await(l, sys, w);
}

int engine_durable_write(struct engine_durable *d, const struct engine_file *f,
			 const struct bufio_io *io, struct bufio_watch *w)
{
	struct durable_lane *l = lock(d, &w);
	int r;

	r = setup_locked(l, f);
	r = r < 0 ? -EAGAIN : write_locked(l, f, io, &w);
	pthread_mutex_unlock(&l->lock);
	if (r < 0)
		told(&w); /* what follows takes its time as well */
	return r;
}
