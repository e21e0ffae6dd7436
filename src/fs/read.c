/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a file.  Runs of whole blocks go from the device to the reader past the cache, which
 * the kernel keeps in front of us anyway; single blocks and parts go through it, and so do small files.  Calls bmap,
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

			r = bufio_read_extent(fs->bufio, block, whole, &iov, 1, NULL, NULL);
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

static ssize_t read_locked(struct inode *inode, uint64_t offset, uint8_t *data, size_t size)
{
	int r = 0;

	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -EINVAL;
	if (offset >= inode->size || !size)
		return 0;
	if (size > inode->size - offset)
		size = inode->size - offset;
	if (inode->data_format == DATA_INLINE)
		memcpy(data, inode->tail + offset, size);
	else
		r = read_mapped(inode, offset, size, data);
	if (r < 0)
		return r;
	inode_touch_atime(inode);
	return (ssize_t)size;
}

ssize_t fs_read(struct fs *fs, uint64_t ino, uint64_t offset, void *data, size_t size)
{
	struct inode *inode;
	ssize_t n;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	n = read_locked(inode, offset, data, size < SSIZE_MAX ? size : SSIZE_MAX);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return n;
}
