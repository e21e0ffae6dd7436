/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Claim an image or block device for this program: exclusively if it is to be written, else shared with
 * other readers.  The claim lasts until ret_fd is closed.  -EBUSY: another has it; or open(2)'s error.
 */
int image_claim(const char *path, bool write, int *ret_fd);

/*
 * The same for a mount: a block device is left for the kernel's own claim, the file behind a
 * loop device is claimed too, and a daemon that is just ending is waited for, up to 30 s.
 */
struct image_lock {
	int fd, backing_fd;
};

int image_claim_for_mount(const char *path, bool write, struct image_lock *ret_lock);

/* Where source (an absolute path) is mounted, if it is.  Unescaped. */
bool mounted_at(const char *source, char *ret_dir, size_t size);

/* What is mounted at dir by bufs: its source. */
bool mounted_source(const char *dir, char *ret_source, size_t size);

#endif
