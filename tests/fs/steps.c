/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See steps.h. */
#include "steps.h"
#include "lend.h"
#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

/* The inode of a path, referenced; 0 and the error. */
static uint64_t walk_path(struct fs *fs, const char *path, int *ret_r)
{
	uint64_t ino = INODE_ROOT;
	char copy[1024], *save = NULL;
	struct fs_attr a;

	snprintf(copy, sizeof(copy), "%s", path);
	*ret_r = fs_lookup(fs, INODE_ROOT, ".", &a);
	for (char *name = strtok_r(copy, "/", &save); name && *ret_r == 0;
	     name = strtok_r(NULL, "/", &save)) {
		*ret_r = fs_lookup(fs, ino, name, &a);
		fs_forget(fs, ino, 1);
		ino = a.ino;
	}
	return *ret_r == 0 ? ino : 0;
}

uint64_t path_ino(struct fs *fs, const char *path)
{
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	if (ino)
		fs_forget(fs, ino, 1);
	return ino;
}

uint64_t path_get(struct fs *fs, const char *path)
{
	int r;

	return walk_path(fs, path, &r);
}

/* The directory of a path, referenced, and the last name. */
static uint64_t walk_parent(struct fs *fs, const char *path, const char **ret_name, int *ret_r)
{
	const char *slash = strrchr(path, '/');
	char dir[1024];

	*ret_name = slash ? slash + 1 : path;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	return walk_path(fs, dir, ret_r);
}

int do_make(struct fs *fs, const char *path, uint32_t mode, const char *target)
{
	const struct fs_new what = {.mode = mode, .target = target};
	const char *name;
	struct fs_attr a;
	int r;
	uint64_t dir = walk_parent(fs, path, &name, &r);

	if (!dir)
		return r;
	r = fs_make(fs, dir, name, &what, &a);
	if (r == 0)
		fs_forget(fs, a.ino, 1);
	fs_forget(fs, dir, 1);
	return r;
}

int do_write(struct fs *fs, const char *path, uint64_t offset, size_t size, char fill)
{
	char *data = malloc(size);
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	memset(data, fill, size);
	if (ino) {
		ssize_t n = lend_write(fs, ino, offset, data, size);

		r = n < 0 ? (int)n : 0; /* some of it is a step too */
		fs_forget(fs, ino, 1);
	}
	free(data);
	return r;
}

static int set(struct fs *fs, const char *path, struct fs_attr a, unsigned mask)
{
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	if (!ino)
		return r;
	r = fs_setattr(fs, ino, &a, mask, &a);
	fs_forget(fs, ino, 1);
	return r;
}

int do_truncate(struct fs *fs, const char *path, uint64_t size)
{
	return set(fs, path, (struct fs_attr){.size = size}, FS_SET_SIZE);
}

int do_chmod(struct fs *fs, const char *path, uint32_t mode)
{
	return set(fs, path, (struct fs_attr){.mode = mode}, FS_SET_MODE);
}

int do_chown(struct fs *fs, const char *path, uint32_t uid, uint32_t gid)
{
	return set(fs, path, (struct fs_attr){.uid = uid, .gid = gid}, FS_SET_UID | FS_SET_GID);
}

int do_rename(struct fs *fs, const char *from, const char *to, unsigned flags)
{
	const char *old_name, *new_name;
	int r;
	uint64_t old_dir = walk_parent(fs, from, &old_name, &r), new_dir = 0;

	if (old_dir)
		new_dir = walk_parent(fs, to, &new_name, &r);
	if (new_dir)
		r = fs_rename(fs, &(struct fs_names){old_dir, old_name, new_dir, new_name}, flags);
	if (old_dir)
		fs_forget(fs, old_dir, 1);
	if (new_dir)
		fs_forget(fs, new_dir, 1);
	return r;
}

int do_link(struct fs *fs, const char *from, const char *to)
{
	const char *name;
	struct fs_attr a;
	int r;
	uint64_t ino = walk_path(fs, from, &r), dir = 0;

	if (ino)
		dir = walk_parent(fs, to, &name, &r);
	if (dir) {
		r = fs_link(fs, ino, dir, name, &a);
		if (r == 0)
			fs_forget(fs, ino, 1);
		fs_forget(fs, dir, 1);
	}
	if (ino)
		fs_forget(fs, ino, 1);
	return r;
}

typedef int remove_call(struct fs *fs, uint64_t dir, const char *name);

static int take_away(struct fs *fs, const char *path, remove_call *call)
{
	const char *name;
	int r;
	uint64_t dir = walk_parent(fs, path, &name, &r);

	if (!dir)
		return r;
	r = call(fs, dir, name);
	fs_forget(fs, dir, 1);
	return r;
}

int do_unlink(struct fs *fs, const char *path)
{
	return take_away(fs, path, fs_unlink);
}

int do_rmdir(struct fs *fs, const char *path)
{
	return take_away(fs, path, fs_rmdir);
}

int do_setxattr(struct fs *fs, const char *path, const char *name, const void *value, size_t size)
{
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	if (!ino)
		return r;
	r = fs_setxattr(fs, ino, &(struct fs_xattr){name, value, size}, 0);
	fs_forget(fs, ino, 1);
	return r;
}

int do_removexattr(struct fs *fs, const char *path, const char *name)
{
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	if (!ino)
		return r;
	r = fs_removexattr(fs, ino, name);
	fs_forget(fs, ino, 1);
	return r;
}

/* FNV-1a */
static uint64_t digest(uint64_t hash, const char *bytes, size_t size)
{
	while (size--)
		hash = (hash ^ (uint8_t)*bytes++) * UINT64_C(1099511628211);
	return hash;
}

int xattr_digest(struct fs *fs, uint64_t ino, uint64_t *ret)
{
	static char list[65536], value[65536];
	ssize_t n = fs_listxattr(fs, ino, list, sizeof(list)), size;

	*ret = 0;
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		size = fs_getxattr(fs, ino, name, value, sizeof(value));
		if (size < 0)
			return (int)size;
		/* in any order */
		*ret += digest(digest(1, name, strlen(name) + 1), value, (size_t)size);
	}
	return n < 0 ? (int)n : 0;
}

int do_fsync(struct fs *fs, const char *path, bool datasync)
{
	int r;
	uint64_t ino = walk_path(fs, path, &r);

	if (!ino)
		return r;
	r = told_fsync(fs, ino, datasync);
	fs_forget(fs, ino, 1);
	return r;
}
