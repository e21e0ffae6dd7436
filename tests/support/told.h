/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_TOLD_H
#define TEST_TOLD_H

/* An fs_fsync_start() and what was told of it. */
#include <semaphore.h>
#include <stdint.h>

#include "fs.h"

struct told {
	struct fs_syncing head;
	sem_t told;
	_Atomic unsigned nr;
	int result;
};

/* What fs_fsync_start() returns. */
int told_start(struct told *t, struct fs *fs, uint64_t ino, bool datasync);

/* After -EINPROGRESS: wait until it was told; the result.  told_start() may be called again then. */
int told_wait(struct told *t);

/* Both: what fs_fsync() would return. */
int told_fsync(struct fs *fs, uint64_t ino, bool datasync);

#endif
