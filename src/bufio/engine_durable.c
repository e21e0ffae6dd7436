/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A durable write through a context of libaio of its own, which its thread waits for: a journal's commit is not to
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
	pthread_mutex_init(&d->lock, NULL);
	d->context = NULL;
	d->done_fd = -1;
}

void engine_durable_finish(struct engine_durable *d)
{
	if (d->context)
		io_destroy(d->context);
	if (d->done_fd >= 0)
		close(d->done_fd);
	pthread_mutex_destroy(&d->lock);
}

static void told(struct bufio_watch **w)
{
	if (*w)
		(*w)->readable(*w);
	*w = NULL;
}

/* Others' writes come first: the watcher need not wait for those. */
static void lock(struct engine_durable *d, struct bufio_watch **w)
{
	if (*w && pthread_mutex_trylock(&d->lock) == 0)
		return;
	told(w);
	pthread_mutex_lock(&d->lock);
}

static int setup_locked(struct engine_durable *d, const struct engine_file *f)
{
	int r;

	if (d->context)
		return 0;
	r = f->config.sys->io_setup(1, &d->context);
	if (r == 0)
		d->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r;
}

/* Sleep until the write seems to have ended or w is readable. */
static void watch(struct engine_durable *d, struct bufio_watch **w)
{
	struct pollfd p[] = {{.fd = d->done_fd, .events = POLLIN},
			     {.fd = (*w)->fd, .events = POLLIN}};
	uint64_t nr;
	ssize_t n;

	if (poll(p, 2, -1) < 0)
		return;
	if (p[1].revents)
		told(w);
	if (p[0].revents) {
		n = read(d->done_fd, &nr, sizeof(nr));
		(void)n; /* it only becomes unreadable */
	}
}

/* Is there an event?  Waits for it if there is nothing to watch. */
static int look(struct engine_durable *d, const struct engine_sys *sys, bool watches,
		struct io_event *event)
{
	struct timespec now = {0};
	int n;

	do {
		n = sys->io_getevents(d->context, 1, 1, event, watches ? &now : NULL);
	} while (n == -EINTR);
	assert(n >= 0);
	return n;
}

static int await(struct engine_durable *d, const struct engine_sys *sys, struct bufio_watch **w)
{
	struct io_event event;

	do {
		if (*w)
			watch(d, w);
	} while (look(d, sys, *w != NULL, &event) == 0);
	return (int)(long)event.res;
}

static int write_locked(struct engine_durable *d, const struct engine_file *f,
			const struct bufio_io *io, struct bufio_watch **w)
{
	const struct engine_sys *sys = f->config.sys;
	struct iocb iocb, *list = &iocb;
	int r;

	io_prep_pwritev(&iocb, f->config.fd, io->iov, (int)io->nr_iov,
			(long long)(f->config.start_bytes + io->offset_bytes));
	iocb.aio_rw_flags = RWF_DSYNC;
	iocb.data = &iocb;
	if (d->done_fd < 0)
		told(w);
	if (*w)
		io_set_eventfd(&iocb, d->done_fd);
	do {
		r = sys->io_submit(d->context, 1, &list);
	} while (r == -EINTR);
	if (r != 1)
		return r < 0 ? r : -EAGAIN;
	return await(d, sys, w);
}

int engine_durable_write(struct engine_durable *d, const struct engine_file *f,
			 const struct bufio_io *io, struct bufio_watch *w)
{
	int r;

	lock(d, &w);
	r = setup_locked(d, f);
	r = r < 0 ? -EAGAIN : write_locked(d, f, io, &w);
	pthread_mutex_unlock(&d->lock);
	if (r < 0)
		told(&w); /* what follows takes its time as well */
	return r;
}
