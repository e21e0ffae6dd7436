/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An inode between the disk and memory: FORMAT.md section 6.  Everything that later becomes a
 * length, an index or a block number is checked here.  Pure.
 */
#include "crc.h"
#include "dir.h"
#include "extents.h"
#include "inode.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

uint32_t inode_crc(const struct fs *fs, uint64_t ino, const struct disk_inode *d)
{
	static const uint8_t zero[sizeof(d->crc)];
	le64 number = le64_make(ino);
	uint32_t crc;

	crc = crc32c(fs->crc_seed, &number, sizeof(number));
	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, (const uint8_t *)d + sizeof(zero), sizeof(*d) - sizeof(zero));
}

uint64_t inode_max_size(const struct fs *fs)
{
	uint64_t max = (EXTENT_END_LOGICAL - 1) << fs->geo.block_shift;

	return max > INT64_MAX ? INT64_MAX : max;
}

static void take_fields(const struct disk_inode *d, struct inode *ret)
{
	ret->mode = le16_get(d->mode);
	ret->data_format = d->data_format;
	ret->xattr_bytes = d->xattr_bytes;
	ret->nlink = le32_get(d->nlink);
	ret->uid = le32_get(d->uid);
	ret->gid = le32_get(d->gid);
	ret->flags = le32_get(d->flags);
	ret->generation = le32_get(d->generation);
	ret->nr_entries = le32_get(d->nr_entries);
	ret->size = le64_get(d->size);
	ret->blocks = le64_get(d->blocks);
	ret->atime = time_decode(d->atime);
	ret->mtime = time_decode(d->mtime);
	ret->ctime = time_decode(d->ctime);
	ret->btime = time_decode(d->btime);
	ret->xattr_block = le64_get(d->xattr_block);
	ret->special = le64_get(d->special);
	ret->parent = le64_get(d->parent);
	ret->state = le32_get(d->state);
	ret->projid = le32_get(d->projid);
	memcpy(ret->tail, d->tail, sizeof(ret->tail));
}

static int check_common(const struct fs *fs, const struct inode *inode)
{
	if (inode->xattr_bytes % 4 || inode->xattr_bytes > INODE_TAIL_BYTES)
		return -EUCLEAN;
	if (inode->state & ~INODE_STATE_TRUNCATE || inode->blocks > fs->geo.nr_blocks)
		return -EUCLEAN;
	if (inode->xattr_block && !geo_is_data(&fs->geo, inode->xattr_block, 1))
		return -EUCLEAN;
	if (inode->atime.tv_nsec >= 1000000000 || inode->mtime.tv_nsec >= 1000000000 ||
	    inode->ctime.tv_nsec >= 1000000000 || inode->btime.tv_nsec >= 1000000000)
		return -EUCLEAN;
	return 0;
}

/* Is what the tail holds what its format says?  What may be in which type of file is checked below. */
static int check_tail(const struct fs *fs, const struct inode *inode)
{
	unsigned bytes = inode_data_bytes(inode);
	le64 root;

	switch (inode->data_format) {
	case DATA_NONE:
		return is_all_zero(inode->tail, bytes) ? 0 : -EUCLEAN;
	case DATA_INLINE:
		return inode->size <= bytes ? 0 : -EUCLEAN;
	case DATA_EXTENTS:
		return extents_check_tail(fs, inode);
	case DATA_TREE:
		if (bytes < sizeof(root))
			return -EUCLEAN;
		memcpy(&root, inode->tail, sizeof(root));
		return geo_is_data(&fs->geo, le64_get(root), 1) ? 0 : -EUCLEAN;
	default:
		return -EUCLEAN;
	}
}

static int check_file(const struct fs *fs, const struct inode *inode)
{
	if (inode->size > inode_max_size(fs))
		return -EUCLEAN;
	if (inode->data_format == DATA_INLINE &&
	    !is_all_zero(inode->tail + inode->size, inode_data_bytes(inode) - inode->size))
		return -EUCLEAN;
	return 0;
}

static int check_dir(const struct fs *fs, const struct inode *inode)
{
	if (inode->nlink == 1 || inode->size > DIR_MAX_BYTES)
		return -EUCLEAN;
	if (inode->parent < INODE_ROOT || inode->parent > geo_nr_inodes(&fs->geo))
		return -EUCLEAN;
	if (inode->special && !geo_is_data(&fs->geo, inode->special, 1))
		return -EUCLEAN;
	if (inode->data_format == DATA_INLINE) {
		if (inode->size != inode_data_bytes(inode))
			return -EUCLEAN;
		return dir_check_entries(fs, inode->tail, inode_data_bytes(inode));
	}
	if (inode->size % fs->geo.block_bytes)
		return -EUCLEAN;
	/* one whose blocks are being freed, and was not finished, has size without blocks */
	return inode->data_format == DATA_NONE && inode->size && inode->nlink ? -EUCLEAN : 0;
}

static int check_symlink(const struct inode *inode)
{
	if (inode->size > SYMLINK_MAX)
		return -EUCLEAN;
	/* without a name it may be one that was never finished, or is half freed */
	return inode->nlink && (!inode->size || inode->data_format == DATA_NONE) ? -EUCLEAN : 0;
}

static int check_type(const struct fs *fs, const struct inode *inode)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		return check_file(fs, inode);
	case S_IFDIR:
		return check_dir(fs, inode);
	case S_IFLNK:
		return check_symlink(inode);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return inode->data_format == DATA_NONE && !inode->size ? 0 : -EUCLEAN;
	default:
		return -EUCLEAN;
	}
}

int inode_decode_unsummed(const struct fs *fs, uint64_t ino, const struct disk_inode *d,
			  struct inode *ret)
{
	int r;

	take_fields(d, ret);
	if (ino == INODE_ROOT && !S_ISDIR(ret->mode))
		return -EUCLEAN;
	if (!ret->mode) {
		/* whatever else stands there is not to turn up in the next inode of this number */
		const struct disk_inode free_inode = {.generation = d->generation};

		take_fields(&free_inode, ret);
		return 0;
	}
	r = check_common(fs, ret);
	if (r < 0)
		return r;
	r = check_tail(fs, ret);
	if (r < 0)
		return r;
	return check_type(fs, ret);
}

int inode_decode(const struct fs *fs, uint64_t ino, const struct disk_inode *d, struct inode *ret)
{
	/* a slot that was never written has no checksum */
	if (le32_get(d->crc) != inode_crc(fs, ino, d) && !is_all_zero(d, sizeof(*d))) {
		take_fields(d, ret);
		return -EUCLEAN;
	}
	return inode_decode_unsummed(fs, ino, d, ret);
}

void inode_encode(const struct fs *fs, const struct inode *inode, struct disk_inode *d)
{
	*d = (struct disk_inode){.generation = le32_make(inode->generation)};
	if (inode->mode) {
		d->mode = le16_make((uint16_t)inode->mode);
		d->data_format = inode->data_format;
		d->xattr_bytes = inode->xattr_bytes;
		d->nlink = le32_make(inode->nlink);
		d->uid = le32_make(inode->uid);
		d->gid = le32_make(inode->gid);
		d->flags = le32_make(inode->flags);
		d->nr_entries = le32_make(inode->nr_entries);
		d->size = le64_make(inode->size);
		d->blocks = le64_make(inode->blocks);
		d->atime = time_encode(inode->atime);
		d->mtime = time_encode(inode->mtime);
		d->ctime = time_encode(inode->ctime);
		d->btime = time_encode(inode->btime);
		d->xattr_block = le64_make(inode->xattr_block);
		d->special = le64_make(inode->special);
		d->parent = le64_make(inode->parent);
		d->state = le32_make(inode->state);
		d->projid = le32_make(inode->projid);
		memcpy(d->tail, inode->tail, sizeof(d->tail));
	}
	d->crc = le32_make(inode_crc(fs, inode->ino, d));
}
