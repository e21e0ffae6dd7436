/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_NAMEI_H
#define FS_NAMEI_H

/* What namei.c, make.c and rename.c share: rules about a directory and an inode named in it. */
#include "dir.h"

#define NLINK_MAX (UINT32_C(1) << 31)

enum names_change { NAMES_ADD, NAMES_REMOVE };

/*
 * May names be added to (removed from) it?  -ENOTDIR; -ENOENT: it was removed itself; -EPERM:
 * chattr +i or +a.  Caller holds the lock.
 */
int names_check_dir(const struct inode *dir, enum names_change change);

/* Get the inode of an entry just found in dir, whose lock is held. */
int names_get_child(struct inode *dir, const struct dir_entry *e, struct inode **ret_child);

/* Does the inode agree with its entry?  -EUCLEAN.  Caller holds both locks. */
int names_check_child(const struct inode *dir, const struct dir_entry *e,
		      const struct inode *child);

/* May the child lose this name?  -EPERM: chattr +i or +a. */
int names_check_victim(const struct inode *dir, const struct inode *child);

/* 0; -EEXIST: dir has this name. */
int names_check_free(struct inode *dir, const char *name);

/*
 * txn_start() for what adds a name.  Few names need all the blocks that they might, most need none: where not so many
 * are left, it starts without, and dir_add() says -ENOSPC if it does need one.
 */
int names_start(struct fs *fs, unsigned nr_blocks, struct txn *t);

static inline void names_changed(struct inode *dir, struct timespec now)
{
	dir->mtime = dir->ctime = now;
}

/* Is the name the last one of its inode?  Directories have one. */
bool names_is_last(const struct inode *child);

/* The child lost a name of its own (names_is_last(): all of them). */
void names_unlinked(struct inode *child, struct timespec now);

#endif
