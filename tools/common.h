/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stdbool.h>

/*
 * Claim an image or block device for this program: exclusively if it is to be written, else shared with
 * other readers.  The claim lasts until ret_fd is closed.  -EBUSY: another has it; or open(2)'s error.
 */
int image_claim(const char *path, bool write, int *ret_fd);

#endif
