/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_SUPER_H
#define FS_SUPER_H

/*
 * The superblock: read and checked at mount, written at mount, unmount and when an error is
 * recorded.
 */
#include "core.h"

/*
 * Check every field that later becomes a number to compute with.  0, -EMEDIUMTYPE (not ours), -EPROTONOSUPPORT (unknown version), -EUCLEAN.  The crc
 * is the caller's.
 */
int super_decode(const struct disk_super *d, struct geometry *ret_geo);

/* Find the superblock, the better of the two copies.  ret_copy_bad: the other one is damaged. */
int super_read(struct bufio_engine *e, struct disk_super *ret_super, bool *ret_copy_bad);

/* super_store() of fs->super. */
int super_write(struct fs *fs);

/*
 * Something went wrong: kept in the superblock, which is written if that can be.  FS_FATAL, or the policy
 * of the mount, stops all changes: fs->stopped.
 */
struct fs_error {
	uint64_t ino, block; /* 0: not known */
	int error;	     /* negative errno */
	unsigned line;
	const char *function;
};
enum fs_severity { FS_CORRUPT, FS_FATAL };
void super_report(struct fs *fs, const struct fs_error *e, enum fs_severity severity);

/* The crc of the superblock's 1024 bytes. */
uint32_t super_crc(const struct disk_super *d);

/*
 * Read and check the superblock of an image into fs: super, geo, crc_seed and hash_seed.  0; -EPROTONOSUPPORT
 * for features not known; -EFBIG: the device is too small; or super_read()'s errors.
 */
int super_open(struct bufio_engine *e, struct fs *fs);

/* Write both copies of d with seq raised, flushing between them. */
int super_store(struct bufio_engine *e, const struct geometry *g, struct disk_super *d);

/* One transfer of at most 64 KiB in the calling thread; data has any alignment. */
int super_transfer(struct bufio_engine *e, enum bufio_op op, uint64_t offset_bytes, void *data,
		   size_t size_bytes);

#endif
