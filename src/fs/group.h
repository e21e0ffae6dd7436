/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_GROUP_H
#define FS_GROUP_H

/* The group descriptors, in memory and in their blocks. */
#include "txn.h"

/* Read and check all of them, and set the sums of fs. */
int groups_load(struct fs *fs);
void groups_free(struct fs *fs);

/*
 * Pin the block of group's descriptor and hold it: nothing can fail any more when group_put_locked() stores
 * the descriptor in it and releases it.  Caller holds group->lock.
 */
int group_modify_locked(struct txn *t, uint32_t group, struct bufio_buffer **ret_b);
void group_put_locked(struct fs *fs, uint32_t group, struct bufio_buffer *b);

/* The same, and the bitmap of the group, which the caller holds: both blocks of a change. */
int group_modify_with_bitmap_locked(struct txn *t, uint32_t group, struct bufio_buffer *bitmap,
				    struct bufio_buffer **ret_gdt);

#endif
