/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying from file to file without the bytes leaving the filesystem, hole by hole.  No lock is held over the whole:
 * what others write meanwhile is copied or not.  Calls read, write, seek, fallocate.
 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>

/* At once, and in one call: its caller waits, and so does who waits for one of the threads. */
#define PIECE_BYTES (UINT64_C(1) << 20)
#define CALL_BYTES  (UINT64_C(16) << 20)

struct copy {
	struct fs *fs;
	struct fs_copy range; /* what is left */
	uint64_t done, data;  /* bytes; of them, not of holes */
	void *piece;
	size_t piece_bytes;
};

static bool overlaps(const struct fs_copy *c)
{
	return c->from == c->to && c->from_offset < c->to_offset + c->size &&
	       c->to_offset < c->from_offset + c->size;
}

static int attr_of_file(struct fs *fs, uint64_t ino, struct fs_attr *ret_attr)
{
	int r = fs_getattr(fs, ino, ret_attr);

	if (r < 0)
		return r;
	if (S_ISDIR(ret_attr->mode))
		return -EISDIR;
	return S_ISREG(ret_attr->mode) ? 0 : -EINVAL;
}

/* Check, and leave out what is behind the end of the source. */
static int prepare(struct copy *c)
{
	struct fs_copy *range = &c->range;
	struct fs_attr from, to;
	int r;

	r = attr_of_file(c->fs, range->from, &from);
	if (r == 0)
		r = attr_of_file(c->fs, range->to, &to);
	if (r < 0)
		return r;
	if (range->from_offset >= from.size)
		range->size = 0;
	else if (range->size > from.size - range->from_offset)
		range->size = from.size - range->from_offset;
	if (range->size > INT64_MAX - range->to_offset)
		return -EFBIG;
	return overlaps(range) ? -EINVAL : 0;
}

static void advance(struct copy *c, uint64_t bytes)
{
	c->range.from_offset += bytes;
	c->range.to_offset += bytes;
	c->range.size -= bytes;
	c->done += bytes;
}

static int copy_hole(struct copy *c, uint64_t bytes)
{
	const struct fs_copy *range = &c->range;
	struct fs_attr a;
	int r;

	r = fs_fallocate(c->fs, range->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 range->to_offset, bytes);
	if (r == 0)
		r = fs_getattr(c->fs, range->to, &a);
	if (r == 0 && a.size < range->to_offset + bytes) {
		a.size = range->to_offset + bytes;
		r = fs_setattr(c->fs, range->to, &a, FS_SET_SIZE, &a);
	}
	if (r == 0)
		advance(c, bytes);
	return r;
}

static int copy_data(struct copy *c, uint64_t bytes)
{
	const struct fs_copy *range = &c->range;
	ssize_t n;

	if (bytes > c->piece_bytes)
		bytes = c->piece_bytes;
	n = fs_read(c->fs, range->from, range->from_offset, c->piece, bytes);
	if (n > 0)
		n = fs_write(c->fs, range->to, range->to_offset, c->piece, (size_t)n);
	if (n <= 0)
		return (int)n;
	advance(c, (uint64_t)n);
	c->data += (uint64_t)n;
	return 0;
}

/* The hole, or some of the data, that comes next. */
static int copy_next(struct copy *c)
{
	uint64_t at = c->range.from_offset, end = at + c->range.size, next;
	int r;

	r = fs_seek_data(c->fs, c->range.from, at, &next);
	if (r == -ENXIO)
		next = end;
	else if (r < 0)
		return r;
	if (next > at)
		return copy_hole(c, (next < end ? next : end) - at);
	r = fs_seek_hole(c->fs, c->range.from, at, &next);
	return r < 0 ? r : copy_data(c, (next < end ? next : end) - at);
}

ssize_t fs_copy_range(struct fs *fs, const struct fs_copy *range)
{
	struct copy c = {.fs = fs, .range = *range};
	uint64_t before;
	int r;

	r = prepare(&c);
	if (r < 0 || !c.range.size)
		return r;
	/* no more than it takes: of a small file malloc(3) then has it at hand */
	c.piece_bytes =
		c.range.size < PIECE_BYTES ? (c.range.size + 4095) & ~(size_t)4095 : PIECE_BYTES;
	c.piece = aligned_alloc(4096, c.piece_bytes);
	if (!c.piece)
		return -ENOMEM;
	do {
		before = c.done;
		r = copy_next(&c);
	} while (r == 0 && c.done > before && c.range.size && c.data < CALL_BYTES);
	free(c.piece);
	return c.done ? (ssize_t)c.done : r;
}
