/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of crash_named share: the world of the one that runs, and steps in it that must succeed. */
#ifndef CRASH_NAMED_H
#define CRASH_NAMED_H

#include "crash_fs.h"

extern struct world w;

/* Folders A and B, with a file in each; begins to record. */
void begin(void);
/* Cut the power everywhere. */
void finish(void);
void step(int r);
void make_file(const char *path);
void write_file(const char *path, uint64_t offset, size_t size, char fill);

/* What becomes of contents and of the blocks they are in. */
TCase *data_case(void);

#endif
