/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engines over a file descriptor share: the rules for short transfers, transfers in
 * the calling thread, flush, discard and zero.  Does not know libaio's queue.
 *
 * Short transfers: what is done counts down to whole sectors, the rest is asked for again.
 * Less than a sector means that there is no more: the device shrank (read, -EIO) or is full
 * (write, -ENOSPC).
 *
 * Errors of flush: the kernel tells a write-back error to an open file once, to whichever
 * fdatasync() or durable write comes first.  Here everybody whose writes it may concern
 * learns of it: flushes that overlap the one that failed, and the flush after a
 * durable write that failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "engine_file.h"

#define WINDOW_PARTS 64

const struct engine_sys engine_sys_kernel = {
	.io_setup = io_setup,
	.io_submit = io_submit,
	.io_getevents = io_getevents,
	.preadv2 = preadv2,
	.pwritev2 = pwritev2,
	.fdatasync = fdatasync,
	.fallocate = fallocate,
};

void engine_file_init(struct engine_file *f, const struct engine_file_config *config,
		      const struct bufio_engine_ops *ops, const char *name)
{
	f->head.ops = ops;
	f->head.name = name;
	f->head.size_bytes = config->size_bytes;
	f->head.sector_bytes = config->sector_bytes;
	f->head.memory_align = config->memory_align;
	f->head.max_pieces = config->max_pieces;
	f->head.read_only = config->read_only;
	f->config = *config;
	f->pid = getpid();
	pthread_mutex_init(&f->flush_lock, NULL);
}

void engine_file_finish(struct engine_file *f)
{
	/* After a fork another thread of the parent may have held it. */
	if (!engine_file_inherited(f))
		pthread_mutex_destroy(&f->flush_lock);
	if (f->config.owns_fd)
		close(f->config.fd);
}

bool engine_file_inherited(const struct engine_file *f)
{
	return f->pid != getpid();
}

int engine_file_check(const struct engine_file *f, const struct bufio_io *io)
{
	return engine_file_inherited(f) ? -EPERM : engine_check_io(&f->head, io);
}

/* Transfers. */

enum engine_step engine_file_step(const struct engine_file *f, const struct bufio_io *io,
				  ssize_t result, size_t *done_bytes, int *ret_error)
{
	size_t whole;

	if (result == -EINTR)
		return ENGINE_STEP_MORE;
	if (result < 0) {
		*ret_error = (int)result;
		return ENGINE_STEP_FAILED;
	}
	whole = (size_t)result & ~(size_t)(f->head.sector_bytes - 1);
	if (whole == 0) {
		*ret_error = io->op == BUFIO_OP_READ ? -EIO : -ENOSPC;
		return ENGINE_STEP_FAILED;
	}
	*done_bytes += whole;
	return *done_bytes >= io->size_bytes ? ENGINE_STEP_FINISHED : ENGINE_STEP_MORE;
}

static ssize_t transfer_once(struct engine_file *f, const struct bufio_io *io, size_t done_bytes,
			     int rw_flags)
{
	const struct engine_sys *sys = f->config.sys;
	off_t offset = (off_t)(f->config.start_bytes + io->offset_bytes + done_bytes);
	struct iovec parts[WINDOW_PARTS];
	struct engine_window w = {parts, WINDOW_PARTS, io->size_bytes - done_bytes};
	const struct iovec *iov = io->iov;
	unsigned nr = io->nr_iov;
	ssize_t n;

	if (done_bytes) {
		engine_window_cut(&w, io, done_bytes);
		iov = w.iov;
		nr = w.nr_iov;
	}
	if (io->op == BUFIO_OP_READ)
		n = sys->preadv2(f->config.fd, iov, (int)nr, offset, rw_flags);
	else
		n = sys->pwritev2(f->config.fd, iov, (int)nr, offset, rw_flags);
	return n < 0 ? -errno : n;
}

static int transfer_all(struct engine_file *f, const struct bufio_io *io, size_t done_bytes,
			int rw_flags)
{
	enum engine_step step;
	int error = 0;

	do {
		step = engine_file_step(f, io, transfer_once(f, io, done_bytes, rw_flags),
					&done_bytes, &error);
	} while (step == ENGINE_STEP_MORE);
	return error;
}

int engine_file_transfer(struct engine_file *f, const struct bufio_io *io, size_t done_bytes)
{
	int r;

	if (!(io->flags & BUFIO_IO_DURABLE) || io->op == BUFIO_OP_READ)
		return transfer_all(f, io, done_bytes, 0);
	if (!f->no_durable) {
		r = transfer_all(f, io, done_bytes, RWF_DSYNC);
		if (r != -EOPNOTSUPP) {
			if (r)
				engine_file_durable_failed(f, r);
			return r;
		}
		f->no_durable = true;
	}
	r = transfer_all(f, io, done_bytes, 0);
	return r ? r : engine_file_flush(&f->head);
}

/* Flush. */

static void sync_failed_locked(struct engine_file *f, int error)
{
	f->sync_error = error;
	f->nr_sync_errors++;
}

void engine_file_durable_failed(struct engine_file *f, int error)
{
	/* Without the page cache an error is of this write alone. */
	if (f->config.direct)
		return;
	pthread_mutex_lock(&f->flush_lock);
	sync_failed_locked(f, error);
	f->sync_owed = true;
	pthread_mutex_unlock(&f->flush_lock);
}

static int flush_locked(struct engine_file *f, unsigned nr_errors_before)
{
	int r;

	do {
		r = f->config.sys->fdatasync(f->config.fd) ? -errno : 0;
	} while (r == -EINTR);
	if (r)
		sync_failed_locked(f, r);
	else if (f->sync_owed || f->nr_sync_errors != nr_errors_before)
		r = f->sync_error;
	f->sync_owed = false;
	return r;
}

int engine_file_flush(struct bufio_engine *e)
{
	struct engine_file *f = (struct engine_file *)e;
	unsigned nr_errors_before = f->nr_sync_errors;
	int r;

	if (engine_file_inherited(f))
		return -EPERM;
	if (e->read_only)
		return 0;
	pthread_mutex_lock(&f->flush_lock);
	r = flush_locked(f, nr_errors_before);
	pthread_mutex_unlock(&f->flush_lock);
	return r;
}

/* Discard and zero. */

static int punch(struct engine_file *f, int mode, uint64_t offset_bytes, uint64_t size_bytes)
{
	int r;

	do {
		r = f->config.sys->fallocate(f->config.fd, mode | FALLOC_FL_KEEP_SIZE,
					     (off_t)offset_bytes, (off_t)size_bytes);
		r = r ? -errno : 0;
	} while (r == -EINTR);
	return r;
}

static int block_ioctl(struct engine_file *f, unsigned long request, uint64_t offset_bytes,
		       uint64_t size_bytes)
{
	uint64_t range[2] = {offset_bytes, size_bytes};

	return ioctl(f->config.fd, request, range) ? -errno : 0;
}

static int discard_range(struct engine_file *f, uint64_t offset_bytes, uint64_t size_bytes)
{
	if (f->config.is_block)
		return block_ioctl(f, BLKDISCARD, offset_bytes, size_bytes);
	return punch(f, FALLOC_FL_PUNCH_HOLE, offset_bytes, size_bytes);
}

static int zero_range(struct engine_file *f, uint64_t offset_bytes, uint64_t size_bytes)
{
	int r;

	if (f->config.is_block)
		return block_ioctl(f, BLKZEROOUT, offset_bytes, size_bytes);
	r = punch(f, FALLOC_FL_ZERO_RANGE, offset_bytes, size_bytes);
	if (r == -EOPNOTSUPP)
		r = punch(f, FALLOC_FL_PUNCH_HOLE, offset_bytes, size_bytes);
	return r;
}

/* A device that says no once is not asked again. */
static int try_range(struct engine_file *f, atomic_bool *refused,
		     int (*range)(struct engine_file *, uint64_t, uint64_t), uint64_t offset_bytes,
		     uint64_t size_bytes)
{
	int r;

	r = engine_check_range(&f->head, offset_bytes, size_bytes);
	if (r)
		return r;
	if (engine_file_inherited(f))
		return -EPERM;
	if (*refused)
		return -EOPNOTSUPP;
	if (size_bytes == 0)
		return 0;
	r = range(f, f->config.start_bytes + offset_bytes, size_bytes);
	if (r == -EOPNOTSUPP || r == -ENOTTY || r == -ENOSYS) {
		*refused = true;
		r = -EOPNOTSUPP;
	}
	return r;
}

int engine_file_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct engine_file *f = (struct engine_file *)e;

	return try_range(f, &f->no_discard, discard_range, offset_bytes, size_bytes);
}

int engine_file_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct engine_file *f = (struct engine_file *)e;

	return try_range(f, &f->no_zero, zero_range, offset_bytes, size_bytes);
}
