/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_OPEN_H
#define FS_OPEN_H

#include "core.h"

/*
 * Open the structures without the policy of a mount: no clean check, nothing written, no thread.
 * For fs_mount(), fsck and dump.  fs_close() frees without writing.
 */
int fs_open(struct bufio_engine *e, const struct fs_options *o, struct fs **ret_fs);
void fs_close(struct fs *fs);

/*
 * A turn of the thread that commits, which is put off if a file with contents was cut to nothing since the last one, for a
 * moment and a few times at most: who cut it is about to write it anew.  nr_late: how many times it was.  False: it is
 * put off.
 */
bool fs_timed_commit(struct fs *fs, unsigned nr_late);

#endif
