/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What front ends ask of one inode that has to do with neither names nor bytes.  Calls file and inode. */
#include "acl.h"
#include "file.h"
#include "flags.h"

#include <errno.h>
#include <sys/stat.h>

#define SET_FIELDS (~FS_SET_SIZE)
#define SET_KILL   (FS_SET_KILL_PRIVS | FS_SET_KILL_SGID)

int fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret_attr)
{
	struct inode *inode;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	inode_attr(inode, ret_attr);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return 0;
}

/* As it will come back from the disk. */
static struct timespec time_clamp(struct timespec t)
{
	return time_decode(time_encode(t));
}

static void set_times(struct inode *inode, const struct fs_attr *attr, unsigned mask)
{
	struct timespec now = fs_now();

	pthread_mutex_lock(&inode->time_lock);
	if (mask & (FS_SET_ATIME | FS_SET_ATIME_NOW))
		inode->atime = mask & FS_SET_ATIME_NOW ? now : time_clamp(attr->atime);
	pthread_mutex_unlock(&inode->time_lock);
	if (mask & (FS_SET_MTIME | FS_SET_MTIME_NOW))
		inode->mtime = mask & FS_SET_MTIME_NOW ? now : time_clamp(attr->mtime);
	inode->ctime = mask & FS_SET_CTIME ? time_clamp(attr->ctime) : now;
}

/* The mode as mask wants it. */
static uint32_t new_mode(const struct inode *inode, const struct fs_attr *attr, unsigned mask)
{
	uint32_t mode = inode->mode;

	if (mask & FS_SET_KILL_PRIVS)
		mode &= ~(uint32_t)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
	if (mask & FS_SET_KILL_SGID)
		mode &= ~(uint32_t)S_ISGID;
	if (mask & FS_SET_MODE)
		mode = (mode & S_IFMT) | (attr->mode & 07777);
	return mode;
}

/* The attributes that go with what mask changes.  Before that, for this may fail. */
static int set_xattrs(struct txn *t, struct inode *inode, uint32_t mode, unsigned mask)
{
	static const struct xattr_name capability = {XATTR_SECURITY, 10, "capability"};
	int r = 0;

	if (!xattr_any(inode))
		return 0;
	if (mask & FS_SET_KILL_PRIVS)
		r = xattr_change(t, inode, &capability, NULL, 0);
	if (r < 0 && r != -ENODATA)
		return r;
	return mask & FS_SET_MODE ? acl_chmod(t, inode, mode) : 0;
}

static void set_fields(struct inode *inode, const struct fs_attr *attr, unsigned mask)
{
	inode->mode = new_mode(inode, attr, mask);
	if (mask & FS_SET_UID)
		inode->uid = attr->uid;
	if (mask & FS_SET_GID)
		inode->gid = attr->gid;
	set_times(inode, attr, mask);
}

static int setattr_once(struct inode *inode, const struct fs_attr *attr, unsigned mask)
{
	struct txn t;
	int r, r2;

	r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	r = set_xattrs(&t, inode, new_mode(inode, attr, mask), mask);
	if (r == 0) {
		set_fields(inode, attr, mask);
		r = inode_store(&t, inode);
	}
	pthread_rwlock_unlock(&inode->lock);
	r2 = txn_stop(&t);
	return r < 0 ? r : r2;
}

/* Only an ACL that has blocks of its own needs space. */
static int setattr_fields(struct inode *inode, const struct fs_attr *attr, unsigned mask)
{
	int r = setattr_once(inode, attr, mask);

	return r == -ENOSPC && inode_make_room(inode->fs) ? setattr_once(inode, attr, mask) : r;
}

static int setattr_size(struct inode *inode, uint64_t size)
{
	uint32_t mode;

	pthread_rwlock_rdlock(&inode->lock);
	mode = inode->mode;
	pthread_rwlock_unlock(&inode->lock);
	if (!S_ISREG(mode))
		return S_ISDIR(mode) ? -EISDIR : -EINVAL;
	return file_truncate(inode, size);
}

static bool valid_ns(struct timespec t)
{
	return t.tv_nsec >= 0 && t.tv_nsec < 1000000000;
}

static bool setattr_valid(const struct fs_attr *attr, unsigned mask)
{
	return (!(mask & FS_SET_ATIME) || valid_ns(attr->atime)) &&
	       (!(mask & FS_SET_MTIME) || valid_ns(attr->mtime)) &&
	       (!(mask & FS_SET_CTIME) || valid_ns(attr->ctime));
}

int fs_setattr(struct fs *fs, uint64_t ino, const struct fs_attr *attr, unsigned mask,
	       struct fs_attr *ret_attr)
{
	struct inode *inode;
	int r;

	if (!setattr_valid(attr, mask))
		return -EINVAL;
	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	r = mask & FS_SET_COLLECTED ? 0 : flags_check_setattr(inode, mask);
	pthread_rwlock_unlock(&inode->lock);
	if (r == 0 && mask & FS_SET_SIZE && mask & SET_KILL) {
		/* first, lest anyone has the contents with the privileges */
		r = setattr_fields(inode, attr, mask & SET_KILL);
		mask &= ~SET_KILL;
	}
	if (r == 0 && mask & FS_SET_SIZE)
		r = setattr_size(inode, attr->size);
	if (r == 0 && mask & SET_FIELDS)
		r = setattr_fields(inode, attr, mask);
	if (r == 0) {
		pthread_rwlock_rdlock(&inode->lock);
		inode_attr(inode, ret_attr);
		pthread_rwlock_unlock(&inode->lock);
	}
	inode_put(inode);
	return r;
}

static ssize_t readlink_locked(struct inode *inode, char *target, size_t size)
{
	ssize_t n;

	if (!S_ISLNK(inode->mode))
		return -EINVAL;
	n = symlink_load(inode, target, size);
	if (n >= 0)
		inode_touch_atime(inode);
	return n;
}

ssize_t fs_readlink(struct fs *fs, uint64_t ino, char *target, size_t size)
{
	struct inode *inode;
	ssize_t n;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	n = readlink_locked(inode, target, size);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return n;
}

void fs_forget(struct fs *fs, uint64_t ino, uint64_t nr_references)
{
	inode_forget(fs, ino, nr_references);
}
