/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_use {
	IMAGE_TOOL, /* has a block device to itself also as far as the kernel is asked; waits 5 s */
	IMAGE_MOUNT, /* leaves that to the kernel's mount of the device; waits 30 s */
};

struct image_lock {
	int fd, device_fd, backing_fd;
};

/* A part of it, with a filesystem of its own. */
struct image_range {
	uint64_t offset_bytes, size_bytes; /* size 0: to the end */
};

/*
 * Claim an image or block device, and the file behind a loop device: exclusively if it is to be
 * written, else shared with other readers.  Lasts until image_release().  Waits a while, unless it is
 * mounted: the daemon of a mount that is gone may still be writing.  part: NULL for all of it.  -EBUSY: another has it;
 * -EROFS: it can be read, but not written; -ENOTBLK: it is neither; or open(2)'s error.
 */
int image_claim(const char *path, bool write, enum image_use use, const struct image_range *part,
		struct image_lock *ret_lock);
void image_release(const struct image_lock *lock);

/*
 * Where source is mounted, if it is, by whatever name: a file counts as mounted if a loop device
 * on it is, and the other way round.
 */
bool mounted_at(const char *source, char *ret_dir, size_t size);

/* What is mounted at dir by bufs: its source. */
bool mounted_source(const char *dir, char *ret_source, size_t size);

#endif
