/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rename, and why locking several inodes at once cannot deadlock.
 *
 * Write "P holds the name of S, Q the name of T": S goes from P to Q, where T may be in its place.
 * Rules for all operations that hold more than one inode's lock:
 *
 *	1. All directories are locked before any other inode; the others in order of their
 *	   numbers.  So nobody waits for a directory with the lock of a file in hand, and among
 *	   files all wait upwards: no file is part of a cycle, only directories can be.
 *	2. Without rename_lock, at most two directories are locked: first one, then a child of
 *	   it, found under its lock.  That one is then the parent as long as it is held.
 *	3. Whoever locks two directories otherwise holds rename_lock before.  That is every rename
 *	   between two directories, and one within a directory of one subdirectory to the place of
 *	   another.  (Their numbers would be no order: with A above B, and C apart, one may hold A
 *	   and want B as its child, one B and want C, one C and want A.)
 *	4. A directory's parent changes only under rename_lock, so its holder can look upwards, and
 *	   find that of P and Q none, one or the other is above.  It locks the upper one first,
 *	   then the other, and S and T only if neither is above P or Q or the same (that is -EINVAL
 *	   or -ENOTEMPTY).  Being in P and Q, S and T are then not above each other either.
 *
 * Suppose a cycle of threads, each waiting for a directory the next one holds.  By 2 those without
 * rename_lock hold a parent and wait for its child: each step of the cycle leads down the tree,
 * along edges that cannot change while the parent is locked.  Only the one holder of rename_lock
 * can lead up again: it would have to wait for a directory above one that it holds.  By 4
 * it never does.
 *
 * All of the above trusts that names form a tree.  On a disk that lies they may not: so a
 * directory is used only where the entry is in the directory that it calls its parent.
 *
 * Calls namei, make, dir, inode.
 */
#include "flags.h"
#include "make.h"
#include "namei.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>

/* The directories above one, with references that last as long as the operation. */
struct ancestors {
	struct inode **inodes;
	size_t nr, max;
};

/* One of the two names. */
struct rename_side {
	struct inode *dir;
	const char *name;
	struct dir_entry entry;
	struct inode *child; /* NULL: there is no such name */
	struct ancestors above;
};

enum rename_scope {
	RENAME_LOCAL,  /* within a directory */
	RENAME_GLOBAL, /* with rename_lock */
};

#define RENAME_AGAIN 1 /* it has to be RENAME_GLOBAL */
#define RENAME_DONE  2 /* both names are one inode's */

struct rename {
	struct fs *fs;
	struct txn txn;
	unsigned flags;
	const struct fs_new *whiteout; /* to be left under the old name; NULL: nothing */
	struct inode *left;	       /* it, made and locked */
	enum rename_scope scope;
	struct rename_side from, to;
};

static bool is_dir(const struct inode *inode)
{
	return inode && S_ISDIR(inode->mode);
}

/* Ancestors */

/* Room for one more. */
static int ancestors_reserve(struct ancestors *a)
{
	size_t max = a->max ? a->max * 2 : 16;
	struct inode **inodes;

	if (a->nr < a->max)
		return 0;
	inodes = realloc(a->inodes, max * sizeof(struct inode *));
	if (!inodes)
		return -ENOMEM;
	a->inodes = inodes;
	a->max = max;
	return 0;
}

static bool ancestors_have(const struct ancestors *a, uint64_t ino)
{
	for (size_t i = 0; i < a->nr; i++) {
		if (a->inodes[i]->ino == ino)
			return true;
	}
	return false;
}

/* Outside the txn: a put may free. */
static void ancestors_finish(struct ancestors *a)
{
	while (a->nr)
		inode_put(a->inodes[--a->nr]);
	free(a->inodes);
}

static int read_parent(struct inode *dir, uint64_t *ret_ino)
{
	int r = 0;

	pthread_rwlock_rdlock(&dir->lock);
	if (!S_ISDIR(dir->mode))
		r = -ENOTDIR;
	else if (dir->nlink == 0)
		r = -ENOENT;
	else
		*ret_ino = dir->parent;
	pthread_rwlock_unlock(&dir->lock);
	return r;
}

/*
 * Go up to the root.  Caller holds rename_lock and no inode's.  A chain that comes back to where it
 * was, on a disk that lies, is found by comparing with an ancestor that doubles its distance.
 */
static int ancestors_find(struct inode *dir, struct ancestors *ret)
{
	uint64_t ino, mark = dir->ino;
	int r;

	while (dir->ino != INODE_ROOT) {
		r = ancestors_reserve(ret);
		if (r == 0)
			r = read_parent(dir, &ino);
		if (r < 0)
			return ret->nr && r == -ENOTDIR ? -EUCLEAN : r;
		if (ino == mark)
			return -EUCLEAN;
		r = inode_get(dir->fs, ino, &dir);
		if (r < 0)
			return r == -ESTALE ? -ENOENT : r;
		ret->inodes[ret->nr++] = dir;
		if ((ret->nr & (ret->nr - 1)) == 0)
			mark = ino;
	}
	return 0;
}

/* Locks; see the head of this file. */

static void lock_parents(const struct rename *rn)
{
	const struct rename_side *first = &rn->from, *second = &rn->to;

	if (first->dir == second->dir) {
		pthread_rwlock_wrlock(&first->dir->lock);
		return;
	}
	if (ancestors_have(&first->above, second->dir->ino) ||
	    (!ancestors_have(&second->above, first->dir->ino) &&
	     second->dir->ino < first->dir->ino)) {
		first = &rn->to;
		second = &rn->from;
	}
	pthread_rwlock_wrlock(&first->dir->lock);
	pthread_rwlock_wrlock(&second->dir->lock);
}

static void unlock_parents(const struct rename *rn)
{
	pthread_rwlock_unlock(&rn->from.dir->lock);
	if (rn->to.dir != rn->from.dir)
		pthread_rwlock_unlock(&rn->to.dir->lock);
}

/* Directories before others, then by number. */
static bool locked_before(const struct rename_side *a, const struct rename_side *b)
{
	bool a_is_dir = a->entry.type == DT_DIR, b_is_dir = b->entry.type == DT_DIR;

	return a_is_dir != b_is_dir ? a_is_dir : a->entry.ino < b->entry.ino;
}

static void lock_children(const struct rename *rn)
{
	const struct rename_side *first = &rn->from, *second = &rn->to;

	if (second->child && locked_before(second, first)) {
		first = &rn->to;
		second = &rn->from;
	}
	pthread_rwlock_wrlock(&first->child->lock);
	if (second->child)
		pthread_rwlock_wrlock(&second->child->lock);
}

static void unlock_children(const struct rename *rn)
{
	pthread_rwlock_unlock(&rn->from.child->lock);
	if (rn->to.child)
		pthread_rwlock_unlock(&rn->to.child->lock);
}

/* The changes.  All four inodes are locked, all is checked and their table blocks are pinned. */

static int point_at(struct txn *t, const struct rename_side *at, uint64_t old_ino,
		    const struct dir_entry *target)
{
	struct dir_entry e = at->entry;

	e.ino = old_ino;
	return dir_replace(t, at->dir, &e, target->ino, target->type);
}

static int exchange_names(struct rename *rn)
{
	struct rename_side *a = &rn->from, *b = &rn->to;
	int r;

	r = point_at(&rn->txn, a, a->entry.ino, &b->entry);
	if (r < 0)
		return r;
	r = point_at(&rn->txn, b, b->entry.ino, &a->entry);
	if (r < 0)
		point_at(&rn->txn, a, b->entry.ino, &a->entry);
	return r;
}

/* The old name goes, or becomes the whiteout's. */
static int vacate(struct rename *rn)
{
	struct rename_side *from = &rn->from;
	struct dir_entry left = {.type = DT_CHR};

	if (!rn->left)
		return dir_remove(&rn->txn, from->dir, from->name, &from->entry);
	left.ino = rn->left->ino;
	return point_at(&rn->txn, from, from->entry.ino, &left);
}

/* to names from's inode; what it named before loses that name. */
static int replace_name(struct rename *rn)
{
	struct rename_side *from = &rn->from, *to = &rn->to;
	int r;

	if (names_is_last(to->child)) {
		r = inode_orphan(&rn->txn, to->child, 1);
		if (r < 0)
			return r;
	}
	r = point_at(&rn->txn, to, to->entry.ino, &from->entry);
	if (r == 0) {
		r = vacate(rn);
		if (r < 0)
			point_at(&rn->txn, to, from->entry.ino, &to->entry);
	}
	if (r < 0 && names_is_last(to->child))
		inode_orphan(&rn->txn, to->child, -1);
	return r;
}

static int move_name(struct rename *rn)
{
	struct rename_side *from = &rn->from, *to = &rn->to;
	struct dir_entry added;
	int r;

	r = dir_add(&rn->txn, to->dir, to->name, from->entry.ino, from->entry.type);
	if (r < 0)
		return r;
	r = vacate(rn);
	if (r < 0 && dir_lookup(to->dir, to->name, &added) == 0)
		dir_remove(&rn->txn, to->dir, to->name, &added);
	return r;
}

static void move_subdir(struct inode *child, struct inode *from, struct inode *to)
{
	from->nlink--;
	to->nlink++;
	child->parent = to->ino;
}

static void change_inodes(struct rename *rn)
{
	struct inode *from = rn->from.dir, *to = rn->to.dir;
	struct inode *moved = rn->from.child, *other = rn->to.child;
	struct timespec now = fs_now();

	if (is_dir(moved))
		move_subdir(moved, from, to);
	/* of these only the time changes, but where their names are is no time: fdatasync() has that durable */
	moved->data_seq = rn->txn.seq;
	moved->ctime = now;
	if (rn->flags & RENAME_EXCHANGE) {
		if (is_dir(other))
			move_subdir(other, to, from);
		other->data_seq = rn->txn.seq;
		other->ctime = now;
	} else if (other) {
		if (is_dir(other))
			to->nlink--;
		names_unlinked(other, now);
	}
	names_changed(from, now);
	names_changed(to, now);
}

static int store_all(struct rename *rn)
{
	struct inode *inodes[] = {rn->from.dir, rn->to.dir, rn->from.child, rn->to.child};
	int r = 0;

	for (unsigned i = 0; i < 4 && r == 0; i++) {
		if (inodes[i])
			r = inode_store(&rn->txn, inodes[i]);
	}
	return r;
}

static int change_names(struct rename *rn)
{
	if (rn->flags & RENAME_EXCHANGE)
		return exchange_names(rn);
	return rn->to.child ? replace_name(rn) : move_name(rn);
}

static int change(struct rename *rn)
{
	int r, r2;

	r = store_all(rn);
	if (r == 0 && rn->whiteout)
		r = make_whiteout(&rn->txn, rn->from.dir, rn->whiteout, &rn->left);
	if (r < 0)
		return r;
	r = change_names(rn);
	if (r == 0)
		change_inodes(rn);
	else if (rn->left)
		make_discard(&rn->txn, rn->left);
	if (rn->left)
		pthread_rwlock_unlock(&rn->left->lock);
	r2 = store_all(rn);
	return r < 0 ? r : r2;
}

/* What is refused, from what is known first to what is known last */

static int check_types(const struct rename *rn)
{
	const struct inode *moved = rn->from.child, *other = rn->to.child;

	if (!other || rn->flags & RENAME_EXCHANGE)
		return 0;
	if (!is_dir(moved))
		return is_dir(other) ? -EISDIR : 0;
	if (!is_dir(other))
		return -ENOTDIR;
	return other->nr_entries ? -ENOTEMPTY : 0;
}

static int check_nlink(const struct rename *rn)
{
	bool exchange = rn->flags & RENAME_EXCHANGE;
	const struct inode *moved = rn->from.child, *other = rn->to.child;

	if (rn->from.dir == rn->to.dir || is_dir(moved) == is_dir(other))
		return 0;
	if (is_dir(moved) && rn->to.dir->nlink >= NLINK_MAX)
		return -EMLINK;
	if (exchange && is_dir(other) && rn->from.dir->nlink >= NLINK_MAX)
		return -EMLINK;
	return 0;
}

static int check_side(const struct rename_side *side)
{
	int r;

	if (!side->child)
		return 0;
	r = names_check_dir(side->dir, NAMES_REMOVE);
	if (r == 0)
		r = names_check_child(side->dir, &side->entry, side->child);
	return r < 0 ? r : names_check_victim(side->dir, side->child);
}

static int rename_children_locked(struct rename *rn)
{
	int r;

	r = check_side(&rn->from);
	if (r == 0)
		r = check_side(&rn->to);
	if (r == 0)
		r = flags_check_project(rn->to.dir, rn->from.child);
	if (r == 0 && rn->flags & RENAME_EXCHANGE)
		r = flags_check_project(rn->from.dir, rn->to.child);
	if (r == 0)
		r = check_types(rn);
	if (r == 0)
		r = check_nlink(rn);
	return r < 0 ? r : change(rn);
}

/* Is side's name one of the directories that the other one's parent is in? */
static bool is_above_other(const struct rename_side *side, const struct rename_side *other)
{
	return side->entry.ino == other->dir->ino || ancestors_have(&other->above, side->entry.ino);
}

static int check_loops(const struct rename *rn, bool to_exists)
{
	if (is_above_other(&rn->from, &rn->to))
		return -EINVAL;
	if (to_exists && is_above_other(&rn->to, &rn->from))
		return rn->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	return 0;
}

/* Find both names and get their inodes.  0, RENAME_AGAIN, RENAME_DONE or an error. */
static int find_children(struct rename *rn)
{
	struct rename_side *from = &rn->from, *to = &rn->to;
	bool to_exists;
	int r;

	r = dir_lookup(from->dir, from->name, &from->entry);
	if (r < 0)
		return r;
	r = dir_lookup(to->dir, to->name, &to->entry);
	if (r < 0 && (r != -ENOENT || rn->flags & RENAME_EXCHANGE))
		return r;
	to_exists = r == 0;
	if (to_exists && rn->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (to_exists && to->entry.ino == from->entry.ino)
		return RENAME_DONE;
	r = check_loops(rn, to_exists);
	if (r < 0)
		return r;
	if (to_exists && rn->scope == RENAME_LOCAL && from->entry.type == DT_DIR &&
	    to->entry.type == DT_DIR)
		return RENAME_AGAIN;
	r = names_get_child(from->dir, &from->entry, &from->child);
	if (r == 0 && to_exists)
		r = names_get_child(to->dir, &to->entry, &to->child);
	return r;
}

static int rename_parents_locked(struct rename *rn)
{
	int r;

	r = names_check_dir(rn->from.dir, NAMES_REMOVE);
	if (r == 0)
		r = names_check_dir(rn->to.dir, NAMES_ADD);
	if (r == 0)
		r = find_children(rn);
	if (r)
		return r == RENAME_DONE ? 0 : r;
	lock_children(rn);
	r = rename_children_locked(rn);
	unlock_children(rn);
	return r;
}

static int rename_in_txn(struct rename *rn)
{
	int r = 0;

	if (rn->scope == RENAME_GLOBAL)
		pthread_mutex_lock(&rn->fs->rename_lock);
	if (rn->from.dir != rn->to.dir) {
		r = ancestors_find(rn->from.dir, &rn->from.above);
		if (r == 0)
			r = ancestors_find(rn->to.dir, &rn->to.above);
	}
	if (r == 0) {
		lock_parents(rn);
		r = rename_parents_locked(rn);
		unlock_parents(rn);
	}
	if (rn->scope == RENAME_GLOBAL)
		pthread_mutex_unlock(&rn->fs->rename_lock);
	return r;
}

/* The caller has references to both directories. */
static int rename_try(struct rename *rn)
{
	int r, r2;

	r = names_start(rn->fs, rn->whiteout ? MAKE_BLOCKS : DIR_ADD_BLOCKS, &rn->txn);
	if (r < 0)
		return r;
	r = rename_in_txn(rn);
	r2 = txn_stop(&rn->txn);
	inode_put(rn->from.child);
	inode_put(rn->to.child);
	inode_put(rn->left);
	ancestors_finish(&rn->from.above);
	ancestors_finish(&rn->to.above);
	return r2 < 0 ? r2 : r;
}

static int rename_between(const struct rename *what)
{
	struct rename rn = *what;
	int r;

	r = rename_try(&rn);
	if (r != RENAME_AGAIN)
		return r;
	rn = *what;
	rn.scope = RENAME_GLOBAL;
	return rename_try(&rn);
}

static int rename_dirs(struct rename *rn, uint64_t old_dir, uint64_t new_dir)
{
	int r;

	r = inode_get(rn->fs, old_dir, &rn->from.dir);
	if (r < 0)
		return r;
	r = inode_get(rn->fs, new_dir, &rn->to.dir);
	if (r == 0) {
		rn->scope = rn->from.dir == rn->to.dir ? RENAME_LOCAL : RENAME_GLOBAL;
		r = rename_between(rn);
		if (r == -ENOSPC && inode_make_room(rn->fs))
			r = rename_between(rn);
		inode_put(rn->to.dir);
	}
	inode_put(rn->from.dir);
	return r;
}

int fs_rename(struct fs *fs, const struct fs_names *names, unsigned flags)
{
	struct rename rn = {.fs = fs,
			    .flags = flags,
			    .from = {.name = names->old_name},
			    .to = {.name = names->new_name}};

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	return rename_dirs(&rn, names->old_dir, names->new_dir);
}

int fs_rename_whiteout(struct fs *fs, const struct fs_names *names, unsigned flags, uint32_t uid,
		       uint32_t gid)
{
	const struct fs_new whiteout = {.mode = S_IFCHR, .uid = uid, .gid = gid};
	struct rename rn = {.fs = fs,
			    .flags = flags,
			    .whiteout = &whiteout,
			    .from = {.name = names->old_name},
			    .to = {.name = names->new_name}};

	if (flags != 0 && flags != RENAME_NOREPLACE)
		return -EINVAL;
	return rename_dirs(&rn, names->old_dir, names->new_dir);
}
