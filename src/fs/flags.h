/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FLAGS_H
#define FS_FLAGS_H

/*
 * chattr: the flags that are kept, as FS_IOC_GETFLAGS has them, and what they forbid, also to root.
 * The caller holds the inode's lock.
 */
#include "inode.h"

#include <linux/fs.h>

#define FLAGS_KEPT                                                                                 \
	((uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL |  \
		    FS_NODUMP_FL | FS_PROJINHERIT_FL))

/* May its attributes be set, names be added or taken away, bytes be replaced?  0 or -EPERM. */
int flags_check_change(const struct inode *inode);

/* May fs_setattr() set what mask says?  Append-only files may be touched: both times set to now. */
int flags_check_setattr(const struct inode *inode, unsigned mask);

/* May bytes be written at offset?  To an append-only file, behind its end. */
int flags_check_write(const struct inode *inode, uint64_t offset);

/* May it be opened with these O_* flags?  0 or -EPERM. */
int flags_check_open(const struct inode *inode, int flags);

/* What a directory hands down to what is made in it. */
void flags_inherit(const struct inode *dir, struct inode *child);

/* May a name for it be added to dir?  -EXDEV: it is of another project than what the directory hands down. */
int flags_check_project(const struct inode *dir, const struct inode *child);

#endif
