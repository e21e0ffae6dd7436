/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_LEND_H
#define TEST_LEND_H

#include "fs.h"

/*
 * fs_write_lent() as the front end calls it: from memory that is aligned where the file is, and that is spoilt as soon as
 * the loan has ended.
 */
ssize_t lend_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data, size_t size);

#endif
