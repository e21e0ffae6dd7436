/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SESSION_H
#define SESSION_H

#include "fuse_ops.h"

/* After fuse_session_mount(): see the replies before they leave. */
int session_hook(struct fuse_session *se);

/*
 * Serve requests with nr_threads threads until the filesystem is unmounted.  f->fs is unmounted
 * then; returns its result, or why the loop could not run.  SIGTERM, SIGINT and SIGHUP, which
 * must be blocked in the caller, unmount mountpoint.
 */
int session_run(struct fuse_session *se, struct front *f, unsigned nr_threads,
		const char *mountpoint);

/*
 * Unmount, as root or through fusermount3; flags of umount2(2).  With MNT_DETACH open files keep the filesystem until
 * they are closed.  Positive: fusermount3 could not, and has said why.
 */
int session_unmount(const char *mountpoint, int flags);

#endif
