/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* At mount: the inodes that a crash kept from their end.  Calls file, inode, ialloc. */
#include "file.h"
#include "ialloc.h"
#include "itable.h"

#include <errno.h>

/* Free or finish ino if it is an orphan.  1 if it was one. */
static int recover_one(struct fs *fs, uint64_t ino)
{
	struct inode *inode;
	bool orphan;
	int r;

	r = ialloc_in_use(fs, ino);
	if (r <= 0)
		return r;
	r = inode_get_any(fs, ino, INODE_WANT_ORPHAN, &inode);
	if (r < 0)
		return r == -ESTALE ? 0 : r;
	pthread_rwlock_rdlock(&inode->lock);
	orphan = inode->orphan;
	pthread_rwlock_unlock(&inode->lock);
	if (orphan && inode->nlink)
		r = file_finish_truncate(inode);
	inode_put(inode);
	return r < 0 ? r : orphan;
}

static void group_orphans(struct group *g, uint32_t *ret_orphans, uint32_t *ret_mark)
{
	pthread_mutex_lock(&g->lock);
	*ret_orphans = g->nr_orphans;
	*ret_mark = g->itable_mark;
	pthread_mutex_unlock(&g->lock);
}

static int recover_group(struct fs *fs, uint32_t group)
{
	uint64_t first = (uint64_t)group * fs->geo.inodes_per_group + 1;
	uint32_t left, mark;
	int r, failed = 0;

	group_orphans(&fs->groups[group], &left, &mark);
	for (uint32_t i = 0; i < mark && left; i++) {
		r = recover_one(fs, first + i);
		if (r > 0)
			left--;
		else if (r < 0 && failed == 0)
			failed = r;
	}
	return failed;
}

int inode_recover_orphans(struct fs *fs)
{
	int r, failed = 0;

	for (uint32_t group = 0; group < fs->geo.nr_groups; group++) {
		r = recover_group(fs, group);
		if (r < 0 && failed == 0)
			failed = r;
	}
	return failed;
}
