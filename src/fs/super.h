/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_SUPER_H
#define FS_SUPER_H

/*
 * The superblock and group descriptors: read and checked at mount, written at mount,
 * unmount and when an error is recorded.  fs_mount(), fs_unmount(), fs_sync() are here too.
 */
#include "core.h"
#include "txn.h"

/*
 * Check every field that later becomes a number to compute with.  0, -EMEDIUMTYPE (not ours), -EPROTONOSUPPORT (unknown version), -EUCLEAN.  The crc
 * is the caller's.
 */
int super_decode(const struct disk_super *d, struct geometry *ret_geo);

/* Find the superblock, the better of the two copies.  ret_copy_bad: the other one is damaged. */
int super_read(struct bufio_engine *e, struct disk_super *ret_super, bool *ret_copy_bad);

/* Write both copies of fs->super with seq raised, flushing between them. */
int super_write(struct fs *fs);

/* The crc of the superblock's 1024 bytes. */
uint32_t super_crc(const struct disk_super *d);

/*
 * Open the structures without the policy of a mount: no clean check, nothing written, no thread.
 * For fs_mount(), fsck and dump.  fs_close() frees without writing.
 */
int fs_open(struct bufio_engine *e, const struct fs_options *o, struct fs **ret_fs);
void fs_close(struct fs *fs);

/* group.c: the descriptors in memory.  groups_load() reads and checks all of them and sets the sums of fs. */
int groups_load(struct fs *fs);
void groups_free(struct fs *fs);

/*
 * Pin the block of group's descriptor and hold it: nothing can fail any more when group_put_locked() stores
 * the descriptor in it and releases it.  Caller holds group->lock.
 */
int group_modify_locked(struct txn *t, uint32_t group, struct bufio_buffer **ret_b);
void group_put_locked(struct fs *fs, uint32_t group, struct bufio_buffer *b);

/* Store group's descriptor in its block.  Caller holds group->lock. */
int group_store_locked(struct txn *t, uint32_t group);

/* One transfer of at most 64 KiB in the calling thread; data has any alignment. */
int super_transfer(struct bufio_engine *e, enum bufio_op op, uint64_t offset_bytes, void *data,
		   size_t size_bytes);

#endif
