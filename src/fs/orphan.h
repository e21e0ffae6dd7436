/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_ORPHAN_H
#define FS_ORPHAN_H

/* Inodes without a name: freed when nobody refers to them, or at the next mount.  For inode_put.c. */
#include "inode.h"

/*
 * Free the blocks and number of a DYING inode and take it out of the table and memory, also if that
 * fails: then it stays an orphan on disk.  The caller is in no txn and holds no lock.
 */
void orphan_free(struct inode *inode);

#endif
