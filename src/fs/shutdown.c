/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a mounted filesystem as if the power went, for tests of what survives that.  Calls log. */
#include "log.h"

#include <errno.h>

int fs_shutdown(struct fs *fs, enum fs_shutdown how)
{
	int none = 0, r = 0;

	if (atomic_load(&fs->shut))
		return 0;
	if (how == FS_SHUTDOWN_SYNC)
		r = fs_sync(fs);
	else if (how == FS_SHUTDOWN_LOG && fs->log)
		r = log_commit_open(fs->log);
	/* no error of ours: the superblock, which is not written any more either, does not have it */
	atomic_compare_exchange_strong(&fs->stopped, &none, -EIO);
	atomic_store(&fs->shut, true);
	return r;
}
