/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and the inodes they stand for: lookup, link, unlink, rmdir.  make.c and rename.c have the rest, and rename.c
 * the argument why the locks cannot deadlock.
 *
 * Every change goes the same way:
 *	get the directory, txn_start, lock it, find the child, get and lock it
 *	refuse what is to be refused
 *	store each inode once as it is: its table block is now pinned, so the store at the end
 *	cannot fail, and an error before that finds nothing to be undone
 *	count the orphan, change the directory, change the inodes, store them
 *	unlock, txn_stop, and only then put: a put may free an inode, in transactions of its own
 *
 * Permissions are the kernel's.  Calls dir, symlink, inode.
 */
#include "namei.h"

#include "flags.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int names_check_dir(const struct inode *dir, enum names_change change)
{
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (dir->nlink == 0)
		return -ENOENT;
	if (dir->flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return change == NAMES_REMOVE && dir->flags & FS_APPEND_FL ? -EPERM : 0;
}

int names_get_child(struct inode *dir, const struct dir_entry *e, struct inode **ret_child)
{
	int r;

	if (e->ino == dir->ino || e->ino == INODE_ROOT)
		return -EUCLEAN;
	r = inode_get(dir->fs, e->ino, ret_child);
	return r == -ESTALE ? -EUCLEAN : r;
}

int names_check_child(const struct inode *dir, const struct dir_entry *e, const struct inode *child)
{
	if (e->type != (child->mode & S_IFMT) >> 12)
		return -EUCLEAN;
	/* So what is reached by names is a tree. */
	return S_ISDIR(child->mode) && child->parent != dir->ino ? -EUCLEAN : 0;
}

int names_check_victim(const struct inode *dir, const struct inode *child)
{
	if (flags_check_change(child) < 0)
		return -EPERM;
	if (child->nlink == 0)
		return -EUCLEAN;
	return S_ISDIR(child->mode) && dir->nlink < 3 ? -EUCLEAN : 0;
}

bool names_is_last(const struct inode *child)
{
	return S_ISDIR(child->mode) || child->nlink == 1;
}

void names_unlinked(struct inode *child, struct timespec now)
{
	child->nlink = names_is_last(child) ? 0 : child->nlink - 1;
	child->ctime = now;
}

int names_start(struct fs *fs, unsigned nr_blocks, struct txn *t)
{
	int r = txn_start(fs, nr_blocks, t);

	return r == -ENOSPC ? txn_start(fs, 0, t) : r;
}

/* lookup */

/* "." and "..".  With "." a file handle is turned into an inode, of whatever type. */
static int get_dots(struct inode *dir, const char *name, struct inode **ret_inode)
{
	int r;

	if (name[1] == 0) {
		if (inode_is_leaving(dir))
			return -ESTALE;
		inode_ref(dir);
		*ret_inode = dir;
		return 0;
	}
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	r = dir->nlink ? inode_get(dir->fs, dir->parent, ret_inode) : -ENOENT;
	return r == -ESTALE ? -EUCLEAN : r;
}

/* What name stands for; *ret_inode is referenced if it is not NULL, whatever comes back. */
static int lookup(struct inode *dir, const char *name, struct inode **ret_inode,
		  struct fs_attr *ret_attr)
{
	bool dots = !strcmp(name, ".") || !strcmp(name, "..");
	struct dir_entry e = {0};
	int r;

	*ret_inode = NULL;
	pthread_rwlock_rdlock(&dir->lock);
	if (dots)
		r = get_dots(dir, name, ret_inode);
	else if (!S_ISDIR(dir->mode))
		r = -ENOTDIR;
	else
		r = dir_lookup(dir, name, &e);
	if (r == 0 && !dots)
		r = names_get_child(dir, &e, ret_inode);
	pthread_rwlock_unlock(&dir->lock);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&(*ret_inode)->lock);
	if (!dots)
		r = names_check_child(dir, &e, *ret_inode);
	else if (*ret_inode != dir && !S_ISDIR((*ret_inode)->mode))
		r = -EUCLEAN;
	if (r == 0)
		inode_attr(*ret_inode, ret_attr);
	pthread_rwlock_unlock(&(*ret_inode)->lock);
	return r;
}

int fs_lookup(struct fs *fs, uint64_t dir_ino, const char *name, struct fs_attr *ret_attr)
{
	struct inode *dir, *child, *first = NULL;
	int r;

	r = inode_get(fs, dir_ino, &dir);
	if (r < 0)
		return r;
	r = lookup(dir, name, &child, ret_attr);
	if (r == -EUCLEAN) {
		/* Perhaps it moved to another directory between the two locks: look while none does. */
		first = child;
		pthread_mutex_lock(&fs->rename_lock);
		r = lookup(dir, name, &child, ret_attr);
		pthread_mutex_unlock(&fs->rename_lock);
	}
	inode_put(first);
	if (r < 0)
		inode_put(child);
	else
		inode_tell(child);
	inode_put(dir);
	return r;
}

int fs_lookup_child(struct fs *fs, uint64_t ino, struct fs_attr *ret_attr)
{
	struct inode *child;
	int r;

	r = inode_get(fs, ino, &child);
	if (r < 0)
		return r == -ESTALE ? -EUCLEAN : r;
	pthread_rwlock_rdlock(&child->lock);
	inode_attr(child, ret_attr);
	pthread_rwlock_unlock(&child->lock);
	inode_tell(child);
	return 0;
}

/* link */

int names_check_free(struct inode *dir, const char *name)
{
	struct dir_entry e;
	int r;

	r = dir_lookup(dir, name, &e);
	if (r == 0)
		return -EEXIST;
	return r == -ENOENT ? 0 : r;
}

/* Both are locked. */
static int link_checked(struct txn *t, struct inode *dir, const char *name, struct inode *child)
{
	int r;

	if (child->nlink == 0 && !child->linkable)
		return -ENOENT;
	if (child->nlink >= NLINK_MAX)
		return -EMLINK;
	r = flags_check_change(child);
	if (r == 0)
		r = flags_check_project(dir, child);
	if (r == 0)
		r = inode_store(t, child);
	if (r == 0)
		r = inode_store(t, dir);
	if (r == 0 && child->nlink == 0)
		r = inode_orphan(t, child, -1);
	if (r < 0)
		return r;
	r = dir_add(t, dir, name, child->ino, (child->mode & S_IFMT) >> 12);
	if (r == 0) {
		child->nlink++;
		child->linkable = false;
		child->ctime = fs_now();
		names_changed(dir, child->ctime);
		r = inode_store(t, child);
	} else if (child->nlink == 0) {
		inode_orphan(t, child, 1);
	}
	inode_store(t, dir);
	return r;
}

static int link_locked(struct txn *t, struct inode *dir, const char *name, struct inode *child,
		       struct fs_attr *ret_attr)
{
	int r;

	r = names_check_dir(dir, NAMES_ADD);
	if (r == 0)
		r = names_check_free(dir, name);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&child->lock);
	r = link_checked(t, dir, name, child);
	if (r == 0)
		inode_attr(child, ret_attr);
	pthread_rwlock_unlock(&child->lock);
	return r;
}

/* Before it is locked behind another directory. */
static int check_linkable(struct inode *child)
{
	bool is_dir;

	pthread_rwlock_rdlock(&child->lock);
	is_dir = S_ISDIR(child->mode);
	pthread_rwlock_unlock(&child->lock);
	return is_dir ? -EPERM : 0;
}

/* Holds references to both. */
static int link_inode(struct inode *dir, const char *name, struct inode *child,
		      struct fs_attr *ret_attr)
{
	struct txn t;
	int r, r2;

	r = check_linkable(child);
	if (r < 0)
		return r;
	r = names_start(dir->fs, DIR_ADD_BLOCKS, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&dir->lock);
	r = link_locked(&t, dir, name, child, ret_attr);
	pthread_rwlock_unlock(&dir->lock);
	r2 = txn_stop(&t);
	return r < 0 ? r : r2;
}

int fs_link(struct fs *fs, uint64_t ino, uint64_t dir_ino, const char *name,
	    struct fs_attr *ret_attr)
{
	struct inode *dir, *child;
	int r;

	r = inode_get(fs, dir_ino, &dir);
	if (r < 0)
		return r;
	r = inode_get(fs, ino, &child);
	if (r == 0) {
		r = link_inode(dir, name, child, ret_attr);
		if (r == -ENOSPC && inode_make_room(fs))
			r = link_inode(dir, name, child, ret_attr);
		if (r < 0)
			inode_put(child);
		else
			inode_tell(child);
	}
	inode_put(dir);
	return r;
}

/* unlink and rmdir */

enum remove_what { REMOVE_FILE, REMOVE_DIR };

static int check_removable(const struct inode *dir, const struct inode *child,
			   enum remove_what what)
{
	int r;

	if (what == REMOVE_FILE && S_ISDIR(child->mode))
		return -EISDIR;
	if (what == REMOVE_DIR && !S_ISDIR(child->mode))
		return -ENOTDIR;
	r = names_check_victim(dir, child);
	if (r == 0 && what == REMOVE_DIR && child->nr_entries)
		r = -ENOTEMPTY;
	return r;
}

/* Both are locked, all is checked. */
static int remove_checked(struct txn *t, struct inode *dir, const char *name,
			  const struct dir_entry *e, struct inode *child)
{
	struct timespec now = fs_now();
	int r;

	r = inode_store(t, dir);
	if (r == 0)
		r = inode_store(t, child);
	if (r == 0 && names_is_last(child))
		r = inode_orphan(t, child, 1);
	if (r < 0)
		return r;
	r = dir_remove(t, dir, name, e);
	if (r < 0) {
		inode_orphan(t, child, -1);
		inode_store(t, dir);
		return r;
	}
	names_unlinked(child, now);
	names_changed(dir, now);
	if (S_ISDIR(child->mode))
		dir->nlink--;
	r = inode_store(t, child);
	return r < 0 ? r : inode_store(t, dir);
}

/* *ret_child is referenced if it is not NULL, whatever comes back. */
static int remove_locked(struct txn *t, struct inode *dir, const char *name, enum remove_what what,
			 struct inode **ret_child)
{
	struct dir_entry e;
	int r;

	r = names_check_dir(dir, NAMES_REMOVE);
	if (r == 0)
		r = dir_lookup(dir, name, &e);
	if (r == 0)
		r = names_get_child(dir, &e, ret_child);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&(*ret_child)->lock);
	r = names_check_child(dir, &e, *ret_child);
	if (r == 0)
		r = check_removable(dir, *ret_child, what);
	if (r == 0)
		r = remove_checked(t, dir, name, &e, *ret_child);
	pthread_rwlock_unlock(&(*ret_child)->lock);
	return r;
}

static int remove_name(struct fs *fs, uint64_t dir_ino, const char *name, enum remove_what what)
{
	struct inode *dir, *child = NULL;
	struct txn t;
	int r, r2;

	r = inode_get(fs, dir_ino, &dir);
	if (r < 0)
		return r;
	r = txn_start(fs, 0, &t);
	if (r == 0) {
		pthread_rwlock_wrlock(&dir->lock);
		r = remove_locked(&t, dir, name, what, &child);
		pthread_rwlock_unlock(&dir->lock);
		r2 = txn_stop(&t);
		r = r < 0 ? r : r2;
	}
	inode_put(child);
	inode_put(dir);
	return r;
}

int fs_unlink(struct fs *fs, uint64_t dir, const char *name)
{
	return remove_name(fs, dir, name, REMOVE_FILE);
}

int fs_rmdir(struct fs *fs, uint64_t dir, const char *name)
{
	return remove_name(fs, dir, name, REMOVE_DIR);
}
