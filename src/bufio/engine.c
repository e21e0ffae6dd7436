/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all engines share: the check of a request before anything is done with it, and
 * arithmetic on iovecs.  Does no I/O and knows no particular engine.  Calls libc only.
 */
#include <errno.h>
#include "engine.h"

static bool aligned(uint64_t value, uint64_t align)
{
	return (value & (align - 1)) == 0;
}

static int check_extent(const struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	if (!aligned(offset_bytes | size_bytes, e->sector_bytes))
		return -EINVAL;
	if (offset_bytes > e->size_bytes || size_bytes > e->size_bytes - offset_bytes)
		return -ERANGE;
	return 0;
}

static int check_iov(const struct bufio_engine *e, const struct bufio_io *io)
{
	uint64_t left = io->size_bytes;
	unsigned i;

	for (i = 0; i < io->nr_iov; i++) {
		if (!aligned((uintptr_t)io->iov[i].iov_base, e->memory_align))
			return -EINVAL;
		if (!aligned(io->iov[i].iov_len, e->sector_bytes) || io->iov[i].iov_len > left)
			return -EINVAL;
		left -= io->iov[i].iov_len;
	}
	return left ? -EINVAL : 0;
}

int engine_check_io(const struct bufio_engine *e, const struct bufio_io *io)
{
	int r;

	if (io->op != BUFIO_OP_READ && io->op != BUFIO_OP_WRITE)
		return -EINVAL;
	if (io->op == BUFIO_OP_WRITE && e->read_only)
		return -EROFS;
	if (io->size_bytes == 0 || io->nr_iov == 0 || io->nr_iov > BUFIO_MAX_IOV)
		return -EINVAL;
	r = check_extent(e, io->offset_bytes, io->size_bytes);
	if (r)
		return r;
	return check_iov(e, io);
}

int engine_check_range(const struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	if (e->read_only)
		return -EROFS;
	return check_extent(e, offset_bytes, size_bytes);
}

void engine_window_cut(struct engine_window *w, const struct bufio_io *io, size_t skip_bytes)
{
	size_t want = w->size_bytes, got = 0, len;
	unsigned i, nr = 0;

	for (i = 0; i < io->nr_iov && nr < w->nr_iov && got < want; i++) {
		len = io->iov[i].iov_len;
		if (skip_bytes >= len) {
			skip_bytes -= len;
			continue;
		}
		len -= skip_bytes;
		if (len > want - got)
			len = want - got;
		w->iov[nr].iov_base = (char *)io->iov[i].iov_base + skip_bytes;
		w->iov[nr].iov_len = len;
		nr++;
		got += len;
		skip_bytes = 0;
	}
	w->nr_iov = nr;
	w->size_bytes = got;
}

void bufio_engine_destroy(struct bufio_engine *e)
{
	if (e)
		e->ops->destroy(e);
}
