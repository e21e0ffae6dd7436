/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chattr.  Calls inode. */
#include "flags.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define HANDED_DOWN                                                                                \
	((uint32_t)(FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL | FS_PROJINHERIT_FL))
#define OF_DIRECTORIES ((uint32_t)(FS_DIRSYNC_FL | FS_PROJINHERIT_FL))
#define OF_ALL	       ((uint32_t)(FS_NOATIME_FL | FS_NODUMP_FL))

#define SETS_ATTRIBUTES                                                                            \
	(FS_SET_MODE | FS_SET_UID | FS_SET_GID | FS_SET_SIZE | FS_SET_ATIME | FS_SET_MTIME |       \
	 FS_SET_CTIME)
#define TOUCHES (FS_SET_ATIME_NOW | FS_SET_MTIME_NOW)

int flags_check_change(const struct inode *inode)
{
	return inode->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL) ? -EPERM : 0;
}

int flags_check_setattr(const struct inode *inode, unsigned mask)
{
	if (inode->flags & FS_IMMUTABLE_FL)
		return -EPERM;
	if (mask & SETS_ATTRIBUTES || (mask & TOUCHES && (mask & TOUCHES) != TOUCHES))
		return flags_check_change(inode);
	return 0;
}

int flags_check_write(const struct inode *inode, uint64_t offset)
{
	if (inode->flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return inode->flags & FS_APPEND_FL && offset < inode->size ? -EPERM : 0;
}

int flags_check_open(const struct inode *inode, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	if (writes && inode->flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return writes && inode->flags & FS_APPEND_FL && !(flags & O_APPEND) ? -EPERM : 0;
}

/* Those that mean something for this type. */
static uint32_t of_type(uint32_t mode, uint32_t flags)
{
	if (S_ISDIR(mode))
		return flags;
	return flags & (S_ISREG(mode) ? ~OF_DIRECTORIES : OF_ALL);
}

void flags_inherit(const struct inode *dir, struct inode *child)
{
	child->flags = of_type(child->mode, dir->flags & HANDED_DOWN);
	child->projid = dir->flags & FS_PROJINHERIT_FL ? dir->projid : 0;
}

int flags_check_project(const struct inode *dir, const struct inode *child)
{
	return dir->flags & FS_PROJINHERIT_FL && dir->projid != child->projid ? -EXDEV : 0;
}

static int set_locked(struct txn *t, struct inode *inode, uint32_t flags, uint32_t projid)
{
	inode->flags = of_type(inode->mode, flags);
	inode->projid = projid;
	inode->ctime = fs_now();
	return inode_store(t, inode);
}

int fs_set_flags(struct fs *fs, uint64_t ino, uint32_t flags, uint32_t projid)
{
	struct inode *inode;
	struct txn t;
	int r, r2;

	if (flags & ~FLAGS_KEPT)
		return -EOPNOTSUPP;
	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	r = txn_start(fs, 0, &t);
	if (r == 0) {
		pthread_rwlock_wrlock(&inode->lock);
		r = set_locked(&t, inode, flags, projid);
		pthread_rwlock_unlock(&inode->lock);
		r2 = txn_stop(&t);
		r = r < 0 ? r : r2;
	}
	inode_put(inode);
	return r;
}

int fs_check_open(struct fs *fs, uint64_t ino, int flags)
{
	struct inode *inode;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	r = flags_check_open(inode, flags);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return r;
}
