/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file has data and where it has none.  Unwritten blocks are none.  Calls bmap and inode. */
#include "bmap.h"

#include <errno.h>
#include <sys/stat.h>

enum seek_what { SEEK_FOR_DATA, SEEK_FOR_HOLE };

/* From `at` on, below the size, in a file whose bytes are in blocks. */
static int seek_blocks(struct inode *inode, uint64_t at, enum seek_what what, uint64_t *ret)
{
	unsigned shift = inode->fs->geo.block_shift;
	uint64_t block = at >> shift, end = (inode->size - 1) >> shift;
	struct mapping m = {.count = 0};
	int r;

	for (; block <= end; block += m.count) {
		r = bmap_lookup(inode, block, end - block + 1, &m);
		if (r < 0)
			return r;
		if ((m.physical && !m.unwritten) == (what == SEEK_FOR_DATA))
			break;
	}
	if (block > end && what == SEEK_FOR_DATA)
		return -ENXIO;
	*ret = block > end ? inode->size : block << shift;
	if (*ret < at)
		*ret = at;
	return 0;
}

static int seek_locked(struct inode *inode, uint64_t at, enum seek_what what, uint64_t *ret)
{
	if (!S_ISREG(inode->mode))
		return S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
	if (at >= inode->size)
		return -ENXIO;
	if (inode->data_format != DATA_INLINE)
		return seek_blocks(inode, at, what, ret);
	*ret = what == SEEK_FOR_DATA ? at : inode->size;
	return 0;
}

static int seek(struct fs *fs, uint64_t ino, uint64_t at, enum seek_what what, uint64_t *ret)
{
	struct inode *inode;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	r = seek_locked(inode, at, what, ret);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return r;
}

int fs_seek_data(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t *ret_offset)
{
	return seek(fs, ino, offset, SEEK_FOR_DATA, ret_offset);
}

int fs_seek_hole(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t *ret_offset)
{
	return seek(fs, ino, offset, SEEK_FOR_HOLE, ret_offset);
}
