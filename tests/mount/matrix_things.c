/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The things of matrix, and what became of them. */
#include "matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *const kinds[NR_KINDS] = {"none", "file", "dir",	 "full", "link",  "fifo", "chr",
				     "blk",  "sock", "dangling", "loop", "setid", "twice"};

void must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(2);
	}
}

void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	must(fd, path);
	must((int)write(fd, "12345", 5), path);
	close(fd);
}

static void make_twice(const char *path)
{
	char twin[200];

	make_file(path);
	snprintf(twin, sizeof(twin), "%s.twin", path);
	must(link(path, twin), twin);
}

static void make_full(const char *path)
{
	char inside[200];

	must(mkdir(path, 0755), path);
	snprintf(inside, sizeof(inside), "%s/inside", path);
	make_file(inside);
}

void make(enum kind kind, const char *path)
{
	switch (kind) {
	case FILE_:
		make_file(path);
		break;
	case DIR_:
		must(mkdir(path, 0755), path);
		break;
	case FULL:
		make_full(path);
		break;
	case FIFO:
		must(mkfifo(path, 0644), path);
		break;
	case CHR:
		must(mknod(path, S_IFCHR | 0644, makedev(1, 3)), path);
		break;
	case BLK:
		must(mknod(path, S_IFBLK | 0644, makedev(4000, 700000)), path);
		break;
	case SOCK:
		must(mknod(path, S_IFSOCK | 0644, 0), path);
		break;
	case LINK:
		must(symlink("../target", path), path);
		break;
	case DANGLING:
		must(symlink("../nowhere", path), path);
		break;
	case SETID:
		make_file(path);
		break;
	case TWICE:
		make_twice(path);
		break;
	case LOOP:
		must(symlink(strrchr(path, '/') + 1, path), path);
		break;
	default:
		break;
	}
}

static const char *const watched[NR_WATCHED] = {"a",   "a/x",	     "a/x/inside", "a/x.twin", "b",
						"b/y", "b/y/inside", "b/y.twin",   "target"};

void make_old(void)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};

	for (size_t n = 0; n < NR(watched); n++)
		if (utimensat(AT_FDCWD, watched[n], old, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			must(-1, watched[n]);
}

void look(struct seen *seen)
{
	for (size_t n = 0; n < NR(watched); n++)
		seen[n].error = lstat(watched[n], &seen[n].st) < 0 ? errno : 0;
}

static int differ(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

static void print_change(const char *name, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode)
		printf(" %s.mode=%o", name, b->st_mode);
	if (a->st_nlink != b->st_nlink)
		printf(" %s.nlink=%ju", name, (uintmax_t)b->st_nlink);
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		printf(" %s.owner=%u:%u", name, b->st_uid, b->st_gid);
	if (S_ISREG(b->st_mode) && a->st_size != b->st_size)
		printf(" %s.size=%jd", name, (intmax_t)b->st_size);
	if (differ(a->st_mtim, b->st_mtim))
		printf(" %s.mtime", name);
	if (differ(a->st_ctim, b->st_ctim))
		printf(" %s.ctime", name);
}

/* Under which name it was there before, that one if it can be; -1: it is new. */
static int name_before(const struct seen *before, size_t now_at, ino_t ino)
{
	if (!before[now_at].error && before[now_at].st.st_ino == ino)
		return (int)now_at;
	for (int n = 0; n < NR_WATCHED; n++)
		if (!before[n].error && before[n].st.st_ino == ino)
			return n;
	return -1;
}

static void print_now(const struct seen *before, size_t at, const struct stat *now)
{
	int n = name_before(before, at, now->st_ino);

	if (n < 0) {
		printf(" +%s(%o %ju %u:%u %jx)", watched[at], now->st_mode,
		       (uintmax_t)now->st_nlink, now->st_uid, now->st_gid, (uintmax_t)now->st_rdev);
		return;
	}
	if ((size_t)n != at)
		printf(" %s=%s", watched[at], watched[n]);
	print_change(watched[at], &before[n].st, now);
}

void print_changes(const struct seen *before, const struct seen *after)
{
	for (size_t n = 0; n < NR(watched); n++) {
		if (!before[n].error && after[n].error)
			printf(" -%s", watched[n]);
		else if (!after[n].error)
			print_now(before, n, &after[n].st);
	}
	printf("\n");
}
