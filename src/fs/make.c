/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making inodes, with a name or without; what a directory hands down to them.  Goes the way that namei.c tells.
 * Calls namei, dir, symlink, acl, inode.
 */
#include "make.h"

#include "acl.h"
#include "file.h"
#include "flags.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int check_new(const struct fs_new *what)
{
	switch (what->mode & S_IFMT) {
	case S_IFLNK:
		if (!what->target)
			return -EINVAL;
		if (!what->target[0])
			return -ENOENT;
		return strlen(what->target) > SYMLINK_MAX ? -ENAMETOOLONG : 0;
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		return -EINVAL;
	}
}

/* What is to be made, and what the directory hands down to it. */
struct making {
	struct fs_new new;
	struct acl_inherited acls;
};

static int inherit(struct inode *dir, const struct fs_new *what, struct making *ret)
{
	ret->new = *what;
	if (dir->mode & S_ISGID) {
		ret->new.gid = dir->gid;
		if (S_ISDIR(what->mode))
			ret->new.mode |= S_ISGID;
	}
	return acl_inherit(dir, &ret->new, &ret->acls);
}

static int fill_new(struct txn *t, struct inode *dir, struct inode *child, const struct making *m)
{
	bool is_dir = S_ISDIR(child->mode);
	int r;

	child->nlink = is_dir ? 2 : 1;
	child->parent = is_dir ? dir->ino : 0;
	flags_inherit(dir, child);
	r = acl_give(t, child, &m->acls);
	child->ctime = child->btime;
	if (is_dir)
		dir_init(child);
	else if (r == 0 && S_ISLNK(child->mode))
		r = symlink_store(t, child, m->new.target);
	return r < 0 ? r : inode_store(t, child);
}

/* A symlink with half a target is none: let it be a file that has all its blocks within its size. */
static void give_up_target(struct inode *child)
{
	if (!S_ISLNK(child->mode) || child->size)
		return;
	child->mode = S_IFREG;
	child->size = (uint64_t)SYMLINK_BLOCKS << child->fs->geo.block_shift;
}

void make_discard(struct txn *t, struct inode *child)
{
	give_up_target(child);
	child->nlink = 0;
	inode_orphan(t, child, 1);
	inode_store(t, child);
}

int make_whiteout(struct txn *t, struct inode *dir, const struct fs_new *what,
		  struct inode **ret_child)
{
	struct making m;
	int r;

	r = inherit(dir, what, &m);
	if (r == 0)
		r = inode_new(t, dir->ino, &m.new, ret_child);
	if (r < 0)
		return r;
	r = fill_new(t, dir, *ret_child, &m);
	if (r < 0) {
		make_discard(t, *ret_child);
		pthread_rwlock_unlock(&(*ret_child)->lock);
	}
	return r;
}

static int make_named(struct txn *t, struct inode *dir, const char *name, struct inode *child,
		      const struct making *m)
{
	int r;

	r = fill_new(t, dir, child, m);
	if (r == 0)
		r = dir_add(t, dir, name, child->ino, (child->mode & S_IFMT) >> 12);
	if (r < 0) {
		make_discard(t, child);
		inode_store(t, dir);
		return r;
	}
	if (S_ISDIR(child->mode))
		dir->nlink++;
	names_changed(dir, child->btime);
	return inode_store(t, dir);
}

/* It is an orphan from the beginning, but one that link may give a name. */
static int make_nameless(struct txn *t, struct inode *dir, struct inode *child,
			 const struct making *m)
{
	int r, r2;

	r = fill_new(t, dir, child, m);
	child->nlink = 0;
	child->linkable = r == 0;
	r2 = inode_orphan(t, child, 1);
	r = r < 0 ? r : r2;
	r2 = inode_store(t, child);
	return r < 0 ? r : r2;
}

/* Without a name if that is NULL.  *ret_child, if it is not NULL, is referenced and locked, whatever comes back. */
static int make_locked(struct txn *t, struct inode *dir, const char *name,
		       const struct fs_new *what, struct inode **ret_child)
{
	struct making m;
	int r;

	r = names_check_dir(dir, NAMES_ADD);
	if (r == 0 && name)
		r = names_check_free(dir, name);
	if (r == 0 && S_ISDIR(what->mode) && dir->nlink >= NLINK_MAX)
		r = -EMLINK;
	if (r == 0)
		r = inherit(dir, what, &m);
	if (r == 0 && name)
		r = inode_store(t, dir);
	if (r == 0)
		r = inode_new(t, dir->ino, &m.new, ret_child);
	if (r < 0)
		return r;
	return name ? make_named(t, dir, name, *ret_child, &m)
		    : make_nameless(t, dir, *ret_child, &m);
}

static int make(struct fs *fs, uint64_t dir_ino, const char *name, const struct fs_new *what,
		struct fs_attr *ret_attr)
{
	struct inode *dir, *child = NULL;
	struct txn t;
	int r, r2;

	r = inode_get(fs, dir_ino, &dir);
	if (r < 0)
		return r;
	r = names_start(fs, MAKE_BLOCKS + (S_ISLNK(what->mode) ? SYMLINK_BLOCKS : 0), &t);
	if (r == 0) {
		pthread_rwlock_wrlock(&dir->lock);
		r = make_locked(&t, dir, name, what, &child);
		if (r == 0)
			inode_attr(child, ret_attr);
		if (child)
			pthread_rwlock_unlock(&child->lock);
		pthread_rwlock_unlock(&dir->lock);
		r2 = txn_stop(&t);
		r = r < 0 ? r : r2;
	}
	if (r < 0)
		inode_put(child);
	else
		inode_tell(child);
	inode_put(dir);
	return r;
}

static int make_with_room(struct fs *fs, uint64_t dir, const char *name, const struct fs_new *what,
			  struct fs_attr *ret_attr)
{
	int r = make(fs, dir, name, what, ret_attr);

	if (r == -ENOSPC && inode_make_room(fs))
		r = make(fs, dir, name, what, ret_attr);
	return r;
}

int fs_make(struct fs *fs, uint64_t dir, const char *name, const struct fs_new *what,
	    struct fs_attr *ret_attr)
{
	int r = check_new(what);

	return r < 0 ? r : make_with_room(fs, dir, name, what, ret_attr);
}

int fs_make_nameless(struct fs *fs, uint64_t dir, const struct fs_new *what,
		     struct fs_attr *ret_attr)
{
	return S_ISREG(what->mode) ? make_with_room(fs, dir, NULL, what, ret_attr) : -EINVAL;
}
