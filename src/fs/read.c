/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a file.  Runs of whole blocks go from the device to the reader past the cache, which
 * the kernel keeps in front of us anyway; parts of blocks go through it, and so do small files.  Calls bmap,
 * inode and bufio.
 */
#include "file.h"
#include "meta.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* Fewer whole blocks than this go through the cache. */
#define DIRECT_MIN_BLOCKS 2

/* Small files that were written one after the other adjoin, and are often read so: then many come with one transfer. */
#define SMALL_BYTES	  (64u * 1024)
#define SMALL_AHEAD_BYTES (128u * 1024)

static int read_part(struct fs *fs, uint64_t block, unsigned from, unsigned bytes, uint8_t *data)
{
	struct bufio_buffer *b;
	int r;

	r = bufio_read(fs->bufio, block, &b);
	if (r < 0)
		return r;
	memcpy(data, (const uint8_t *)bufio_data(b) + from, bytes);
	bufio_release(b);
	return 0;
}

/* Read bytes that adjoin on the device, from byte `from` of block on. */
static int read_run(struct inode *inode, uint64_t block, unsigned from, size_t bytes, uint8_t *data)
{
	const struct geometry *g = &inode->fs->geo;
	struct fs *fs = inode->fs;
	bool small = inode->size <= SMALL_BYTES;
	int r = 0;

	if (small)
		meta_read_ahead(fs, block, block, SMALL_AHEAD_BYTES >> g->block_shift);

	while (bytes && r == 0) {
		size_t whole = from ? 0 : bytes >> g->block_shift;
		size_t part = g->block_bytes - from;

		if (whole >= DIRECT_MIN_BLOCKS && !small) {
			struct iovec iov = {data, part = whole << g->block_shift};

			r = bufio_read_extent(fs->bufio,
					      &(struct bufio_extent){block, whole, &iov, 1}, NULL,
					      NULL);
			block += whole;
		} else {
			if (part > bytes)
				part = bytes;
			r = read_part(fs, block++, from, (unsigned)part, data);
		}
		data += part;
		bytes -= part;
		from = 0;
	}
	return r;
}

/* Read from blocks and holes; the range is within the file. */
static int read_mapped(struct inode *inode, uint64_t offset, size_t size, uint8_t *data)
{
	const struct geometry *g = &inode->fs->geo;
	struct mapping m;
	int r;

	while (size) {
		unsigned from = offset & (g->block_bytes - 1);
		uint64_t nr = ((uint64_t)size + from + g->block_bytes - 1) >> g->block_shift;
		size_t bytes;

		r = bmap_lookup(inode, offset >> g->block_shift, nr, &m);
		if (r < 0)
			return r;
		bytes = (m.count << g->block_shift) - from;
		if (bytes > size)
			bytes = size;
		if (!m.physical || m.unwritten)
			memset(data, 0, bytes);
		else
			r = read_run(inode, m.physical, from, bytes, data);
		if (r < 0)
			return r;
		offset += bytes;
		data += bytes;
		size -= bytes;
	}
	return 0;
}

/* What of the range is in the file: 0 behind its end; or why it cannot be read. */
static ssize_t clamp(const struct inode *inode, uint64_t offset, size_t size)
{
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	if (offset >= inode->size)
		return 0;
	if (size > inode->size - offset)
		size = (size_t)(inode->size - offset);
	return size < SSIZE_MAX ? (ssize_t)size : SSIZE_MAX;
}

static ssize_t read_locked(struct inode *inode, uint64_t offset, uint8_t *data, size_t size)
{
	ssize_t n = clamp(inode, offset, size);
	int r = 0;

	if (n <= 0)
		return n;
	if (inode->data_format == DATA_INLINE)
		memcpy(data, inode->tail + offset, (size_t)n);
	else
		r = read_mapped(inode, offset, (size_t)n, data);
	if (r < 0)
		return r;
	inode_touch_atime(inode);
	return n;
}

static void reading_done(void *context, int r)
{
	struct fs_reading *reading = context;
	struct inode *inode = reading->inode;

	reading->done(reading, r < 0 ? r : (ssize_t)reading->bytes);
	inode_read_end(inode);
}

/* 1: the range is whole blocks, or their beginning, in one run that is worth a transfer of its own. */
static int find_run(struct inode *inode, const struct fs_reading *reading, struct mapping *ret)
{
	const struct geometry *g = &inode->fs->geo;
	uint64_t nr = ((uint64_t)reading->bytes + g->block_bytes - 1) >> g->block_shift;
	int r;

	if (inode->data_format == DATA_INLINE || inode->size <= SMALL_BYTES ||
	    reading->offset & (g->block_bytes - 1) || nr << g->block_shift > reading->size)
		return 0;
	r = bmap_lookup(inode, reading->offset >> g->block_shift, nr, ret);
	if (r < 0)
		return r;
	return ret->physical && !ret->unwritten && ret->count == nr;
}

static ssize_t start_run(struct inode *inode, const struct mapping *m, struct fs_reading *reading)
{
	const struct geometry *g = &inode->fs->geo;
	int r;

	inode_touch_atime(inode);
	reading->inode = inode;
	reading->iov = (struct iovec){reading->data, m->count << g->block_shift};
	inode_read_begin(inode);
	r = bufio_read_extent(inode->fs->bufio,
			      &(struct bufio_extent){m->physical, m->count, &reading->iov, 1},
			      reading_done, reading);
	if (r == 0)
		return -EINPROGRESS;
	inode_read_end(inode);
	return r;
}

static ssize_t start_locked(struct inode *inode, struct fs_reading *reading)
{
	ssize_t n = clamp(inode, reading->offset, reading->size);
	struct mapping m;
	int r;

	if (n <= 0)
		return n;
	reading->bytes = (size_t)n;
	r = find_run(inode, reading, &m);
	if (r < 0)
		return r;
	return r ? start_run(inode, &m, reading)
		 : read_locked(inode, reading->offset, reading->data, reading->bytes);
}

ssize_t fs_read_start(struct fs *fs, struct fs_reading *reading)
{
	struct inode *inode;
	ssize_t n;
	int r;

	r = inode_get(fs, reading->ino, &inode);
	if (r < 0)
		return r;
	inode_lock_to_read(inode);
	n = start_locked(inode, reading);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return n;
}

ssize_t fs_read(struct fs *fs, uint64_t ino, uint64_t offset, void *data, size_t size)
{
	struct inode *inode;
	ssize_t n;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	inode_lock_to_read(inode);
	n = read_locked(inode, offset, data, size);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return n;
}
