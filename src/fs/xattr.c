/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes as front ends see them: fs.h.  Calls acl, xattr_store and inode. */
#include "xattr.h"
#include "acl.h"
#include "flags.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/xattr.h>

ssize_t fs_getxattr(struct fs *fs, uint64_t ino, const char *name, void *value, size_t size)
{
	struct xattr_name n;
	struct inode *inode;
	ssize_t bytes;
	int r;

	r = xattr_name_parse(name, &n);
	if (r == 0)
		r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	bytes = xattr_get(inode, &n, value, size);
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return bytes;
}

struct listing {
	char *names;
	size_t size, used;
};

static int list_one(void *context, const struct xattr_record *r)
{
	struct listing *l = context;
	size_t bytes = xattr_name_print(&r->name, NULL);

	if (l->size) {
		if (bytes > l->size - l->used)
			return -ERANGE;
		xattr_name_print(&r->name, l->names + l->used);
	}
	l->used += bytes;
	return 0;
}

ssize_t fs_listxattr(struct fs *fs, uint64_t ino, char *list, size_t size)
{
	struct listing l = {list, size, 0};
	struct inode *inode;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&inode->lock);
	r = xattr_any(inode) ? xattr_each(inode, list_one, &l) : 0;
	pthread_rwlock_unlock(&inode->lock);
	inode_put(inode);
	return r < 0 ? r : (ssize_t)l.used;
}

/* A change as it was asked for: no value, it goes. */
struct request {
	struct xattr_name name;
	const struct xattr_value *value;
	unsigned flags;
};

static int check_target(const struct inode *inode, const struct request *q)
{
	if (q->name.prefix == XATTR_USER && !S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
		return -EPERM;
	return flags_check_change(inode);
}

static int change_locked(struct txn *t, struct inode *inode, const struct request *q)
{
	bool acl = q->name.prefix == XATTR_ACL_ACCESS || q->name.prefix == XATTR_ACL_DEFAULT;
	int r;

	r = check_target(inode, q);
	if (r < 0)
		return r;
	if (acl && q->value)
		return acl_set(t, inode, &q->name, q->value, q->flags & FS_XATTR_KILL_SGID);
	r = xattr_change(t, inode, &q->name, q->value,
			 (int)(q->flags & (XATTR_CREATE | XATTR_REPLACE)));
	/* to take away an ACL that is not there is no error on Linux */
	return acl && r == -ENODATA ? 0 : r;
}

static int change_inode(struct inode *inode, const struct request *q)
{
	struct txn t;
	int r, r2;

	r = txn_start(inode->fs, XATTR_CHANGE_BLOCKS, &t);
	if (r == -ENOSPC)
		r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	r = change_locked(&t, inode, q);
	pthread_rwlock_unlock(&inode->lock);
	r2 = txn_stop(&t);
	return r < 0 ? r : r2;
}

static int change(struct fs *fs, uint64_t ino, const struct request *q)
{
	struct inode *inode;
	int r;

	r = inode_get(fs, ino, &inode);
	if (r < 0)
		return r;
	r = change_inode(inode, q);
	if (r == -ENOSPC && inode_make_room(fs))
		r = change_inode(inode, q);
	inode_put(inode);
	return r;
}

int fs_setxattr(struct fs *fs, uint64_t ino, const struct fs_xattr *x, unsigned flags)
{
	struct xattr_value v = {x->value, (uint32_t)x->size};
	struct request q = {.value = &v, .flags = flags};
	int r;

	if (flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE | FS_XATTR_KILL_SGID))
		return -EINVAL;
	r = xattr_name_parse(x->name, &q.name);
	if (r < 0)
		return r;
	return x->size > XATTR_VALUE_MAX ? -E2BIG : change(fs, ino, &q);
}

int fs_removexattr(struct fs *fs, uint64_t ino, const char *name)
{
	struct request q = {.value = NULL};
	int r = xattr_name_parse(name, &q.name);

	return r < 0 ? r : change(fs, ino, &q);
}
