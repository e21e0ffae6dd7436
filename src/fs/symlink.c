/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Symlink targets, in the tail or in blocks of their own: FORMAT.md section 9.  Calls bmap, balloc, meta. */
#include "balloc.h"
#include "file.h"
#include "meta.h"

#include <errno.h>
#include <string.h>

/* Map one of the reserved blocks at logical. */
static int map_block(struct txn *t, struct inode *inode, uint64_t logical, uint64_t *ret_block)
{
	struct mapping m = {.logical = logical, .count = 1};
	int r;

	r = balloc_alloc_reserved(t, bmap_goal(inode, logical), &m.physical);
	if (r < 0)
		return r;
	r = bmap_insert(t, inode, &m);
	if (r < 0) {
		balloc_free(t, m.physical, m.count);
		return r;
	}
	*ret_block = m.physical;
	return 0;
}

/* Keep a part of the target.  If that fails, the block is freed with the inode. */
static int store_part(struct txn *t, struct inode *inode, uint64_t logical, const char *part,
		      size_t bytes)
{
	struct bufio_buffer *b;
	uint64_t block;
	int r;

	r = map_block(t, inode, logical, &block);
	if (r < 0)
		return r;
	r = meta_new(inode->fs, block, META_SYMLINK, inode->ino, &b);
	if (r < 0)
		return r;
	r = txn_modify(t, b);
	if (r == 0)
		memcpy((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES, part, bytes);
	bufio_release(b);
	return r;
}

int symlink_store(struct txn *t, struct inode *inode, const char *target)
{
	size_t room = inode->fs->geo.block_bytes - DISK_HEAD_BYTES, size = strlen(target);
	int r = 0;

	if (!size)
		return -EINVAL;
	if (size > SYMLINK_MAX)
		return -ENAMETOOLONG;
	if (size <= inode_data_bytes(inode)) {
		memcpy(inode->tail, target, size);
		inode->data_format = DATA_INLINE;
	} else {
		for (size_t at = 0; at < size && r == 0; at += room)
			r = store_part(t, inode, at / room, target + at,
				       size - at < room ? size - at : room);
	}
	if (r == 0)
		inode->size = size;
	return r;
}

static int load_part(struct inode *inode, uint64_t logical, char *part, size_t bytes)
{
	struct bufio_buffer *b;
	struct mapping m;
	int r;

	r = bmap_lookup(inode, logical, 1, &m);
	if (r < 0)
		return r;
	if (!m.physical || m.unwritten)
		return -EUCLEAN;
	r = meta_read(inode->fs, m.physical,
		      &(struct meta_expected){META_SYMLINK, inode->ino, NULL}, &b);
	if (r < 0)
		return r;
	memcpy(part, (const uint8_t *)bufio_data(b) + DISK_HEAD_BYTES, bytes);
	bufio_release(b);
	return 0;
}

ssize_t symlink_load(struct inode *inode, char *target, size_t size)
{
	size_t room = inode->fs->geo.block_bytes - DISK_HEAD_BYTES, length = inode->size;
	int r = 0;

	if (size < length)
		return -ERANGE;
	if (inode->data_format == DATA_INLINE) {
		memcpy(target, inode->tail, length);
	} else {
		for (size_t at = 0; at < length && r == 0; at += room)
			r = load_part(inode, at / room, target + at,
				      length - at < room ? length - at : room);
	}
	if (r < 0)
		return r;
	return memchr(target, 0, length) ? -EUCLEAN : (ssize_t)length;
}
