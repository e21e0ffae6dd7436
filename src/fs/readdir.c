/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing a directory.  The cookie is where to go on: 0 and 1 stand for "." and "..", a higher one is
 * the position behind the entry seen last.  Since entries never move, one that exists all the
 * while is seen exactly once, whatever comes and goes around it.  Calls dir, inode.
 */
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#define COOKIE_DOT     0 /* before "." */
#define COOKIE_DOT_DOT 1
#define COOKIE_STORED  2

static int readdir_locked(struct inode *dir, uint64_t cookie, fs_fill *fill, void *context)
{
	const struct fs_dirent dot = {".", dir->ino, DT_DIR, COOKIE_DOT_DOT};
	const struct fs_dirent dot_dot = {"..", dir->parent, DT_DIR, COOKIE_STORED};

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (cookie == COOKIE_DOT && fill(context, &dot))
		return 0;
	if (cookie <= COOKIE_DOT_DOT && fill(context, &dot_dot))
		return 0;
	inode_touch_atime(dir);
	return dir_iterate(dir, cookie, fill, context);
}

int fs_readdir(struct fs *fs, uint64_t dir_ino, uint64_t cookie, fs_fill *fill, void *context)
{
	struct inode *dir;
	int r;

	r = inode_get(fs, dir_ino, &dir);
	if (r < 0)
		return r;
	pthread_rwlock_rdlock(&dir->lock);
	r = readdir_locked(dir, cookie, fill, context);
	pthread_rwlock_unlock(&dir->lock);
	inode_put(dir);
	return r;
}
