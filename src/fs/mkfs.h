/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_MKFS_H
#define FS_MKFS_H

/* Make an empty filesystem on an engine. */
#include "core.h"

struct mkfs_options {
	unsigned block_bytes; /* 0: 4096 */
	uint64_t nr_inodes;   /* 0: one per 16 KiB */
	/*
	 * At most 1 GiB; at least 128 blocks are made of it, at most what one group has room for.  0: 1/32 of
	 * the device, 1 MiB (or less on a tiny one) to 64 MiB.
	 */
	uint64_t log_bytes;
	uint64_t size_bytes; /* 0: all of the engine */
	uint8_t uuid[16];
	const char *label; /* NULL: none */
	uint64_t hash_seed;
	uint32_t root_uid, root_gid, root_mode; /* mode 0: 0755 */
	bool dry_run;				/* compute the geometry only */
};

/*
 * 0 and the geometry made; -EINVAL: a block size that is none or less than a sector, a size beyond the device, a
 * label of more than 63 bytes, more inodes than blocks, a log of more than 1 GiB; -ENOSPC: the device is too small;
 * -EFBIG: too large for this block size; -ENOMEM; or an I/O error.  Durable on return.  What stood in the first and
 * last 64 KiB is wiped, and where a superblock's copy can be.
 */
int mkfs_format(struct bufio_engine *e, const struct mkfs_options *o, struct geometry *ret_geo);

#endif
