/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_DIR_PARTS_H
#define FS_DIR_PARTS_H

/*
 * What dir.c is made of, private to it: entries of one area (dir_block.c), knowledge of free space
 * (dir_space.c), the hash index (dir_index.c).
 *
 * An *area* is a directory block behind its head, or the inline data of the inode.  Offsets count
 * from the area's start; a position is DISK_HEAD_BYTES more, plus the block's start.
 */
#include "dir.h"

struct dir_name {
	const char *bytes;
	unsigned len;
};

struct dir_area {
	uint8_t *bytes;
	unsigned size;
};

/* Bytes of an entry without free space behind it. */
static inline unsigned dir_entry_bytes(unsigned name_len)
{
	return ((unsigned)sizeof(struct disk_dirent) + name_len + 3) & ~3u;
}

static inline struct disk_dirent *area_entry(struct dir_area a, unsigned offset)
{
	return (struct disk_dirent *)(a.bytes + offset);
}

static inline uint64_t dir_nr_blocks(const struct inode *dir)
{
	return dir->size >> dir->fs->geo.block_shift;
}

/* dir_block.c: the area is one that dir_check_entries() has passed. */
struct dir_area area_of_block(struct bufio_buffer *b);
struct dir_area area_of_inline(struct inode *dir);
void area_init(struct dir_area a); /* one free entry */
void area_grow(struct dir_area a, unsigned old_size);
bool area_is_empty(struct dir_area a);
unsigned area_room(struct dir_area a);			    /* bytes of the largest gap */
int area_find(struct dir_area a, const struct dir_name *n); /* offset or -ENOENT */
int area_find_gap(struct dir_area a, unsigned bytes);	    /* entry with the gap, or -ENOSPC */
bool area_matches(struct dir_area a, unsigned offset, const struct dir_name *n);
/* Into the gap of the entry at offset; the offset of the new entry. */
unsigned area_add(struct dir_area a, unsigned offset, const struct dir_name *n, uint64_t ino,
		  unsigned type);
/* Where an entry is added: known before it is. */
unsigned area_add_offset(struct dir_area a, unsigned offset);
/* The entry before the one at offset, offset itself for the first; -EUCLEAN: none is there. */
int area_previous(struct dir_area a, unsigned offset);
void area_remove(struct dir_area a, unsigned offset, unsigned previous);

/* Hold block index of the directory. */
int dir_read_block(struct inode *dir, uint64_t index, struct bufio_buffer **ret_b);

/* dir_space.c.  Bytes of room; 0: none, or not known.  Never fails: what it forgets is not used. */
void space_note(struct inode *dir, uint64_t block, unsigned room);
unsigned space_known(const struct inode *dir, uint64_t block);
int space_find(const struct inode *dir, unsigned bytes, uint64_t *ret_block); /* 0 or -ENOENT */

/* dir_index.c: all with dir->special not 0, but build. */
int index_find(struct inode *dir, const struct dir_name *n, struct dir_entry *ret);
int index_insert(struct txn *t, struct inode *dir, uint64_t goal, uint64_t key);
int index_delete(struct txn *t, struct inode *dir, uint64_t key);
int index_build(struct txn *t, struct inode *dir); /* of the only block */
uint64_t index_key(const struct fs *fs, const struct dir_name *n, uint64_t position);

#endif
