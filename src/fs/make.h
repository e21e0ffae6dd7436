/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_MAKE_H
#define FS_MAKE_H

/* What make.c does for rename.c. */
#include "namei.h"
#include "xattr.h"

/* The most reserved blocks for a new inode with ACLs and its name. */
#define MAKE_BLOCKS (DIR_ADD_BLOCKS + 2 * XATTR_CHANGE_BLOCKS)

/*
 * Make what goes into dir under a name that is there already: stored, with one link, for the caller to point the name
 * at.  On success it is referenced and locked; on an error *ret_child may be referenced.  Takes up to MAKE_BLOCKS.
 */
int make_whiteout(struct txn *t, struct inode *dir, const struct fs_new *what,
		  struct inode **ret_child);

/* A new inode, locked, that got no name: the put to come frees it, or after a crash the next mount. */
void make_discard(struct txn *t, struct inode *child);

#endif
