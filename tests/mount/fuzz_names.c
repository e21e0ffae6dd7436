/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls on names, and on what an inode has besides its bytes. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#error "glibc without renameat2"
#endif

static int some_name(struct fuzz *f)
{
	return (int)fuzz_random(f, FUZZ_NAMES);
}

static struct fuzz_file *file_of(struct fuzz *f, int name)
{
	return f->name[name] < 0 ? NULL : &f->file[f->name[name]];
}

/* A name of it is gone. */
static void take_name(struct fuzz *f, struct fuzz_file *file)
{
	file->nlink--;
	if (file->nlink || file->fd >= 0)
		fuzz_check_stat(f, file, CHANGED_CTIME);
	else
		file->used = false;
}

static void do_create(struct fuzz *f, int name)
{
	char path[4096];
	struct fuzz_file *file = f->file;
	int fd;

	while (file < f->file + FUZZ_FILES && file->used)
		file++;
	if (file == f->file + FUZZ_FILES)
		return;
	fuzz_say(f, "create %d", name);
	fd = open(fuzz_path(f, name, path), O_RDWR | O_CREAT | O_EXCL, 0640);
	if (f->name[name] >= 0) {
		fuzz_expect(f, fd, EEXIST);
		return;
	}
	if (fd < 0)
		fuzz_differs(f, "create: %s", strerror(errno));
	f->name[name] = (int)(file - f->file);
	file->used = true;
	file->fd = fd;
	file->nlink = 1;
	file->mode = 0640;
	file->size = 0;
	memset(file->data, 0, FUZZ_BYTES);
	memset(file->block, BLOCK_HOLE, sizeof(file->block));
	file->xattr_bytes = -1;
	memset(&file->seen, 0, sizeof(file->seen));
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

static void do_link(struct fuzz *f, int from, int to)
{
	char a[4096], b[4096];
	int r;

	fuzz_say(f, "link %d, %d", from, to);
	r = link(fuzz_path(f, from, a), fuzz_path(f, to, b));
	if (f->name[from] < 0 || f->name[to] >= 0) {
		fuzz_expect(f, r, f->name[from] < 0 ? ENOENT : EEXIST);
		return;
	}
	fuzz_expect(f, r, 0);
	f->name[to] = f->name[from];
	file_of(f, to)->nlink++;
	fuzz_open(f, file_of(f, to));
	fuzz_check_stat(f, file_of(f, to), CHANGED_CTIME);
}

static void do_unlink(struct fuzz *f, int name)
{
	char path[4096];
	struct fuzz_file *file = file_of(f, name);
	int r;

	fuzz_say(f, "unlink %d", name);
	r = unlink(fuzz_path(f, name, path));
	fuzz_expect(f, r, file ? 0 : ENOENT);
	f->name[name] = -1;
	if (file)
		take_name(f, file);
}

static void do_rename(struct fuzz *f, int from, int to)
{
	static const unsigned way[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flags = way[fuzz_random(f, 4)];
	struct fuzz_file *moved = file_of(f, from), *target = file_of(f, to);
	char a[4096], b[4096];
	int r, error = 0;

	fuzz_say(f, "rename %d, %d, %#x", from, to, flags);
	r = renameat2(AT_FDCWD, fuzz_path(f, from, a), AT_FDCWD, fuzz_path(f, to, b), flags);
	if (!moved || (flags == RENAME_EXCHANGE && !target))
		error = ENOENT;
	else if (flags == RENAME_NOREPLACE && target)
		error = EEXIST;
	fuzz_expect(f, r, error);
	if (error || moved == target) /* two names of one file: both stay */
		return;
	f->name[to] = f->name[from];
	f->name[from] = flags == RENAME_EXCHANGE ? (int)(target - f->file) : -1;
	fuzz_open(f, moved);
	fuzz_check_stat(f, moved, CHANGED_CTIME);
	if (flags == RENAME_EXCHANGE) {
		fuzz_open(f, target);
		fuzz_check_stat(f, target, CHANGED_CTIME);
	} else if (target) {
		take_name(f, target);
	}
}

static void do_close(struct fuzz *f, int name)
{
	struct fuzz_file *file = &f->file[name % FUZZ_FILES];

	if (!file->used || file->fd < 0)
		return;
	fuzz_say(f, "close");
	fuzz_close(f, file);
}

static void do_chmod(struct fuzz *f, struct fuzz_file *file)
{
	file->mode = 0600 | (unsigned)fuzz_random(f, 0100);
	fuzz_say(f, "fchmod(%#o)", file->mode);
	fuzz_expect(f, fchmod(file->fd, file->mode), 0);
	fuzz_check_stat(f, file, CHANGED_CTIME);
}

static void do_utimes(struct fuzz *f, struct fuzz_file *file)
{
	struct timespec t[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)fuzz_random(f, UINT64_C(8) << 30) - (1 << 30),
		 .tv_nsec = (long)fuzz_random(f, 1000000000)},
	};

	fuzz_say(f, "futimens(%ld.%09ld)", (long)t[1].tv_sec, t[1].tv_nsec);
	fuzz_expect(f, futimens(file->fd, t), 0);
	file->seen.st_mtim = t[1];
	fuzz_check_stat(f, file, CHANGED_CTIME);
}

static void do_setxattr(struct fuzz *f, struct fuzz_file *file)
{
	int bytes = (int)fuzz_random(f, fuzz_random(f, 2) ? 60 : sizeof(file->xattr));

	fuzz_say(f, "fsetxattr(%d bytes)", bytes);
	for (int i = 0; i < bytes; i++)
		file->xattr[i] = (uint8_t)fuzz_random(f, 256);
	fuzz_expect(f, fsetxattr(file->fd, "user.fuzz", file->xattr, (size_t)bytes, 0), 0);
	file->xattr_bytes = bytes;
	fuzz_check_stat(f, file, CHANGED_CTIME);
}

static void do_removexattr(struct fuzz *f, struct fuzz_file *file)
{
	bool there = file->xattr_bytes >= 0;

	fuzz_say(f, "fremovexattr");
	fuzz_expect(f, fremovexattr(file->fd, "user.fuzz"), there ? 0 : ENODATA);
	file->xattr_bytes = -1;
	fuzz_check_stat(f, file, there ? CHANGED_CTIME : CHANGED_NOTHING);
}

static void attributes(struct fuzz *f, struct fuzz_file *file)
{
	static void (*const call[])(struct fuzz *, struct fuzz_file *) = {
		do_chmod, do_utimes, do_setxattr, do_setxattr, do_removexattr};

	fuzz_open(f, file);
	call[fuzz_random(f, sizeof(call) / sizeof(call[0]))](f, file);
}

void fuzz_names(struct fuzz *f)
{
	int name = some_name(f);

	switch (fuzz_random(f, 8)) {
	case 0:
	case 1:
		do_create(f, name);
		break;
	case 2:
		do_link(f, name, some_name(f));
		break;
	case 3:
		do_unlink(f, name);
		break;
	case 4:
		do_rename(f, name, some_name(f));
		break;
	case 5:
		do_close(f, name);
		break;
	default:
		if (file_of(f, name))
			attributes(f, file_of(f, name));
	}
}
