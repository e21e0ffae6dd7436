/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls with awkward results, and transfers to run over them. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine_fake.h"

struct fake_script script;

void fake_reset(void)
{
	memset(&script, 0, sizeof(script));
	script.bad_offset = -1;
	script.event_result = INT_MIN;
	pthread_mutex_init(&script.sync_gate, NULL);
}

/* True n times of ten. */
static bool dice(int n)
{
	return (int)(atomic_fetch_add(&script.dice, 7) * 2654435761u >> 16) % 10 < n;
}

static int fake_setup(int nr, io_context_t *context)
{
	if (script.setup_error && nr > script.setup_room)
		return script.setup_error;
	return io_setup(nr, context);
}

/* How much of a transfer the script lets through; all of it if there is but a sector. */
static size_t short_size(size_t total)
{
	size_t want = total / SECTOR_BYTES / 2 * SECTOR_BYTES;

	if (script.short_bytes > 0)
		want = (size_t)script.short_bytes;
	else if (script.short_bytes < 0)
		want = total - (size_t)-script.short_bytes;
	return want && want < total ? want : total;
}

/* The beginning of a vector in out.  Returns how many parts. */
static unsigned cut_vector(const struct iovec *iov, unsigned nr, struct iovec *out)
{
	size_t total = 0, want, got = 0;
	unsigned i;

	for (i = 0; i < nr; i++)
		total += iov[i].iov_len;
	want = short_size(total);
	for (i = 0; got < want; i++) {
		out[i] = iov[i];
		if (out[i].iov_len > want - got)
			out[i].iov_len = want - got;
		got += out[i].iov_len;
	}
	return i;
}

static bool is_durable_iocb(const struct iocb *iocb)
{
	return iocb->aio_lio_opcode == IO_CMD_PWRITEV && (iocb->aio_rw_flags & RWF_DSYNC);
}

/* The kernel copies iocb and vector, so they may be ours for the call. */
static int submit_one(io_context_t context, const struct iocb *iocb)
{
	struct iocb copy = *iocb, *list = &copy;
	struct iovec iov[BUFIO_MAX_IOV];

	if (iocb->aio_lio_opcode == IO_CMD_POLL)
		return io_submit(context, 1, &list);
	if (iocb->u.c.offset == script.bad_offset)
		return -EFAULT;
	if (is_durable_iocb(iocb)) {
		script.nr_durable++;
		if (script.durable_error)
			return script.durable_error;
	}
	if (script.shorten) {
		copy.u.c.nbytes = cut_vector(iocb->u.c.buf, (unsigned)iocb->u.c.nbytes, iov);
		copy.u.c.buf = iov;
	}
	script.nr_submitted++;
	return io_submit(context, 1, &list);
}

static int fake_submit(io_context_t context, long nr, struct iocb **iocbs)
{
	int i, r;

	script.nr_submits++;
	if (dice(script.submit_interrupt))
		return -EINTR;
	if (dice(script.submit_again))
		return -EAGAIN;
	if (script.submit_most && nr > script.submit_most)
		nr = script.submit_most;
	for (i = 0; i < nr; i++) {
		r = submit_one(context, iocbs[i]);
		if (r != 1)
			return i ? i : r;
	}
	return i;
}

/* event.obj is the copy above; its contents are gone, data is the engine's own. */
static void twist_event(struct io_event *event)
{
	struct iocb *iocb = event->data; /* a slot begins with it */

	if (!iocb)
		return;
	if (script.durable_event && is_durable_iocb(iocb))
		event->res = (unsigned long)(long)script.durable_event;
	else if (script.event_result != INT_MIN)
		event->res = (unsigned long)(long)script.event_result;
	else if (script.extra && (long)event->res > (long)SECTOR_BYTES)
		event->res -= SECTOR_BYTES - (unsigned)script.extra;
}

static int fake_getevents(io_context_t context, long min_nr, long nr, struct io_event *events,
			  struct timespec *timeout)
{
	int i, n;

	if (dice(script.event_interrupt))
		return -EINTR;
	n = io_getevents(context, min_nr, nr, events, timeout);
	/* Pairs with its increment: what submitters did with an iocb is over. */
	(void)atomic_load(&script.nr_submitted);
	for (i = 0; i < n; i++)
		twist_event(&events[i]);
	return n;
}

/* Returns how many parts of iov fit into the script's limit, cut in out. */
static int limit_vector(const struct iovec *iov, int nr, struct iovec *out)
{
	size_t left = (size_t)script.call_most;
	int i;

	for (i = 0; i < nr && left; i++) {
		out[i] = iov[i];
		if (out[i].iov_len > left)
			out[i].iov_len = left;
		left -= out[i].iov_len;
	}
	return i;
}

static ssize_t fake_preadv2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	struct iovec part[BUFIO_MAX_IOV];

	script.nr_calls++;
	if (dice(script.call_interrupt)) {
		errno = EINTR;
		return -1;
	}
	if (!script.call_most)
		return preadv2(fd, iov, nr, offset, flags);
	return preadv2(fd, part, limit_vector(iov, nr, part), offset, flags);
}

static ssize_t fake_pwritev2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	struct iovec part[BUFIO_MAX_IOV];

	script.nr_calls++;
	if (dice(script.call_interrupt)) {
		errno = EINTR;
		return -1;
	}
	if ((flags & RWF_DSYNC) && script.call_error) {
		errno = -script.call_error;
		return -1;
	}
	if (!script.call_most)
		return pwritev2(fd, iov, nr, offset, flags);
	return pwritev2(fd, part, limit_vector(iov, nr, part), offset, flags);
}

static int fake_fdatasync(int fd)
{
	int error;

	script.nr_syncs++;
	if (script.sync_gated) {
		pthread_mutex_lock(&script.sync_gate);
		pthread_mutex_unlock(&script.sync_gate);
	}
	error = script.sync_error;
	if (error && script.sync_errors_left && --script.sync_errors_left == 0)
		script.sync_error = 0;
	if (error) {
		errno = -error;
		return -1;
	}
	return fdatasync(fd);
}

static int fake_fallocate(int fd, int mode, off_t offset, off_t size)
{
	script.nr_fallocates++;
	if (script.fallocate_error) {
		errno = -script.fallocate_error;
		return -1;
	}
	return fallocate(fd, mode, offset, size);
}

const struct engine_sys fake_sys = {
	.io_setup = fake_setup,
	.io_submit = fake_submit,
	.io_getevents = fake_getevents,
	.preadv2 = fake_preadv2,
	.pwritev2 = fake_pwritev2,
	.fdatasync = fake_fdatasync,
	.fallocate = fake_fallocate,
};

/* Transfers. */

void work_init(struct work *w, unsigned seed)
{
	unsigned i;

	w->flags = 0;
	w->data = pattern_alloc(NR_PIECES * PIECE_BYTES, seed);
	waiter_init(&w->waiter);
	for (i = 0; i < NR_PIECES; i++)
		w->qs[i] = calloc(1, sizeof(*w->qs[i]));
}

void work_finish(struct work *w)
{
	unsigned i;

	for (i = 0; i < NR_PIECES; i++)
		free(w->qs[i]);
	waiter_finish(&w->waiter);
	free(w->data);
}

/* Transfer all pieces by one submit, from start_bytes on. */
void work_run(struct bufio_engine *e, struct work *w, enum bufio_op op, uint64_t start_bytes)
{
	unsigned i;

	w->waiter.nr_done = 0;
	w->waiter.nr_failed = 0;
	for (i = 0; i < NR_PIECES; i++) {
		request_init(w->qs[i], op, start_bytes + i * PIECE_BYTES, w->data + i * PIECE_BYTES,
			     PIECE_BYTES);
		request_split(w->qs[i], 1 + i % 8);
		w->qs[i]->io.flags = w->flags;
	}
	request_start(e, w->qs, NR_PIECES, &w->waiter);
	waiter_wait(&w->waiter);
	ck_assert_uint_eq(w->waiter.nr_done, NR_PIECES);
	for (i = 0; i < NR_PIECES; i++)
		ck_assert_uint_eq(w->qs[i]->nr_done, 1);
}

/* What the file has, asked for without the engine. */
void assert_file(const struct fixture *f, uint64_t start_bytes, const char *want)
{
	char *got = calloc(NR_PIECES, PIECE_BYTES);
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, got, NR_PIECES * PIECE_BYTES, (off_t)start_bytes),
			 NR_PIECES * PIECE_BYTES);
	ck_assert_mem_eq(got, want, NR_PIECES * PIECE_BYTES);
	close(fd);
	free(got);
}

/* Write and read everything, which must come through whatever the script does. */
void work_all(const struct fixture *f, uint64_t start_bytes, unsigned seed)
{
	char *want = pattern_alloc(NR_PIECES * PIECE_BYTES, seed);
	struct work w;

	work_init(&w, seed);
	work_run(f->engine, &w, BUFIO_OP_WRITE, start_bytes);
	ck_assert_uint_eq(w.waiter.nr_failed, 0);
	assert_file(f, start_bytes, want);
	memset(w.data, 0x55, NR_PIECES * PIECE_BYTES);
	work_run(f->engine, &w, BUFIO_OP_READ, start_bytes);
	ck_assert_uint_eq(w.waiter.nr_failed, 0);
	ck_assert_mem_eq(w.data, want, NR_PIECES * PIECE_BYTES);
	work_finish(&w);
	free(want);
}
