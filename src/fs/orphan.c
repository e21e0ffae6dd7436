/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of an inode.  Calls file, inode, itable, ialloc.
 *
 * The slot becomes free before the number does, and the inode leaves the table in between: so
 * whoever takes the number anew finds no old inode in the table, and whoever asks for the old
 * one finds a free slot.
 */
#include "orphan.h"
#include "file.h"
#include "ialloc.h"
#include "itable.h"

#include <errno.h>
#include <sys/stat.h>

static void leave_table(struct inode *inode)
{
	struct inode_shard *s = inode_shard(inode->fs, inode->ino);

	pthread_mutex_lock(&s->lock);
	shard_remove_locked(s, inode);
	pthread_mutex_unlock(&s->lock);
}

/* Everything is read and in the transaction before the first change: nobody could be told of half of it. */
static void free_number(struct txn *t, struct inode *inode)
{
	bool is_dir = S_ISDIR(inode->mode);
	int r;

	r = inode_store(t, inode);
	if (r == 0)
		r = ialloc_prepare_free(t, inode->ino);
	if (r == 0) {
		inode->state = 0;
		r = inode_orphan(t, inode, -1);
	}
	if (r == 0) {
		inode->mode = 0;
		r = inode_store(t, inode);
	}
	leave_table(inode);
	if (r == 0)
		ialloc_free(t, inode->ino, is_dir);
}

void orphan_free(struct inode *inode)
{
	struct txn t;

	if (file_free_blocks(inode) == 0 && txn_start(inode->fs, 0, &t) == 0) {
		free_number(&t, inode);
		txn_end(&t);
	} else {
		leave_table(inode);
	}
	inode_destroy(inode);
}
