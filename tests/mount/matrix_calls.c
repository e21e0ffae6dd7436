/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of matrix; each returns as it does. */
#include "matrix.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

char x[5000], y[5000];
unsigned flags;

static int do_open(void)
{
	int fd = open(x, (int)flags | O_NONBLOCK, 0640);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int do_mkdir(void)
{
	return mkdir(x, 0750);
}

static int do_rmdir(void)
{
	return rmdir(x);
}

static int do_unlink(void)
{
	return unlink(x);
}

static int do_mknod(void)
{
	return mknod(x, flags | 0604, makedev(11, 12));
}

static int do_symlink(void)
{
	return symlink("somewhere", x);
}

static int do_readlink(void)
{
	char target[100];

	return readlink(x, target, sizeof(target)) < 0 ? -1 : 0;
}

static int do_truncate(void)
{
	return truncate(x, (off_t)flags);
}

static int do_chmod(void)
{
	return chmod(x, flags);
}

static int do_chown(void)
{
	return chown(x, USER, USER);
}

/* flags: the user in the upper half, the group in the lower; all ones: as it is. */
static int do_chown_to(void)
{
	unsigned uid = flags >> 16, gid = flags & 0xffff;

	return chown(x, uid == 0xffff ? (uid_t)-1 : uid, gid == 0xffff ? (gid_t)-1 : gid);
}

static int do_lchown(void)
{
	return lchown(x, USER, (gid_t)-1);
}

static int do_write(void)
{
	int fd = open(x, O_WRONLY | O_NONBLOCK | (int)flags), r = -1;

	if (fd >= 0) {
		r = write(fd, "x", 1) == 1 ? 0 : -1;
		close(fd);
	}
	return r;
}

static int do_utimens(void)
{
	struct timespec times[2] = {{.tv_nsec = flags & 1 ? UTIME_OMIT : UTIME_NOW},
				    {.tv_nsec = flags & 2 ? UTIME_OMIT : UTIME_NOW}};

	if (flags & 4)
		times[0] = times[1] = (struct timespec){12345, 6789};
	return utimensat(AT_FDCWD, x, times, flags & 8 ? AT_SYMLINK_NOFOLLOW : 0);
}

static int do_stat(void)
{
	struct stat st;

	return flags ? lstat(x, &st) : stat(x, &st);
}

static int do_access(void)
{
	return faccessat(AT_FDCWD, x, (int)flags, AT_EACCESS);
}

static int do_link(void)
{
	return linkat(AT_FDCWD, x, AT_FDCWD, y, (int)flags);
}

static int do_rename(void)
{
	return renameat2(AT_FDCWD, x, AT_FDCWD, y, flags);
}

static int do_chdir(void)
{
	return chdir(x);
}

/* Of what has just been made with the rights it does not give. */
static int do_make_and_write(void)
{
	int fd = open(x, O_RDWR | O_CREAT | O_EXCL, 0), r = -1;

	if (fd >= 0) {
		r = write(fd, "123", 3) == 3 && ftruncate(fd, 2) == 0 ? 0 : -1;
		close(fd);
	}
	return r;
}

static int do_list(void)
{
	DIR *d = opendir(x);
	int r = d && readdir(d) ? 0 : -1;

	if (d)
		closedir(d);
	return r;
}

static const char *inside(const char *name)
{
	static char path[sizeof(x) + 20];

	snprintf(path, sizeof(path), "%s/%s", x, name);
	return path;
}

static int do_stat_inside(void)
{
	struct stat st;

	return stat(inside("inside"), &st);
}

static int do_make_inside(void)
{
	return mkdir(inside("new"), 0755);
}

static int do_remove_inside(void)
{
	return unlink(inside("inside"));
}

static int do_execute(void)
{
	return execl(x, x, (char *)NULL);
}

/* flags: a mode in the upper half, a umask in the lower. */
static unsigned asked_mode(void)
{
	umask(flags & 0xffff);
	return flags >> 16;
}

static int make_by_open(void)
{
	unsigned mode = asked_mode();
	int fd = open(x, O_WRONLY | O_CREAT | O_EXCL, mode);

	return fd < 0 ? -1 : close(fd);
}

static int make_by_mkdir(void)
{
	return mkdir(x, asked_mode());
}

static int make_by_mkfifo(void)
{
	return mkfifo(x, asked_mode());
}

static int make_by_mknod(void)
{
	return mknod(x, S_IFSOCK | asked_mode(), 0);
}

#define OWNER(user, group) ((unsigned)(user) << 16 | (group))

static const struct call on_one[] = {
	{"open r", do_open, O_RDONLY},
	{"open w", do_open, O_WRONLY},
	{"open creat", do_open, O_RDWR | O_CREAT},
	{"open creat excl", do_open, O_RDWR | O_CREAT | O_EXCL},
	{"open trunc", do_open, O_WRONLY | O_TRUNC},
	{"open directory", do_open, O_RDONLY | O_DIRECTORY},
	{"open creat directory", do_open, O_RDONLY | O_CREAT | O_DIRECTORY},
	{"open nofollow", do_open, O_RDONLY | O_NOFOLLOW},
	{"open creat nofollow", do_open, O_RDWR | O_CREAT | O_NOFOLLOW},
	{"open tmpfile", do_open, O_RDWR | O_TMPFILE},
	{"make and write", do_make_and_write, 0},
	{"mkdir", do_mkdir, 0},
	{"rmdir", do_rmdir, 0},
	{"unlink", do_unlink, 0},
	{"mknod fifo", do_mknod, S_IFIFO},
	{"mknod chr", do_mknod, S_IFCHR},
	{"mknod sock", do_mknod, S_IFSOCK},
	{"mknod reg", do_mknod, S_IFREG},
	{"mknod dir", do_mknod, S_IFDIR},
	{"symlink", do_symlink, 0},
	{"readlink", do_readlink, 0},
	{"truncate 0", do_truncate, 0},
	{"truncate 5", do_truncate, 5},
	{"truncate 9000", do_truncate, 9000},
	{"truncate -1", do_truncate, -1u},
	{"chmod 0600", do_chmod, 0600},
	{"chmod 6711", do_chmod, 06711},
	{"chmod 1777", do_chmod, 01777},
	{"chmod 2755", do_chmod, 02755},
	{"chmod 2644", do_chmod, 02644},
	{"chown", do_chown, 0},
	{"chown nothing", do_chown_to, OWNER(0xffff, 0xffff)},
	{"chown to root", do_chown_to, OWNER(0, 0xffff)},
	{"chown to another", do_chown_to, OWNER(FOREIGN, 0xffff)},
	{"chown to oneself", do_chown_to, OWNER(USER, 0xffff)},
	{"chgrp to an own group", do_chown_to, OWNER(0xffff, MEMBER)},
	{"chgrp to a foreign group", do_chown_to, OWNER(0xffff, FOREIGN)},
	{"chown to oneself and an own group", do_chown_to, OWNER(USER, MEMBER)},
	{"lchown", do_lchown, 0},
	{"write", do_write, 0},
	{"write append", do_write, O_APPEND},
	{"write trunc", do_write, O_TRUNC},
	{"utimens now", do_utimens, 0},
	{"utimens atime", do_utimens, 2},
	{"utimens mtime", do_utimens, 1},
	{"utimens nothing", do_utimens, 3},
	{"utimens set", do_utimens, 4},
	{"utimens nofollow", do_utimens, 12},
	{"stat", do_stat, 0},
	{"lstat", do_stat, 1},
	{"access r", do_access, R_OK},
	{"access wx", do_access, W_OK | X_OK},
	{"chdir", do_chdir, 0},
};

static const struct call on_two[] = {
	{"link", do_link, 0},
	{"link follow", do_link, AT_SYMLINK_FOLLOW},
	{"rename", do_rename, 0},
	{"rename noreplace", do_rename, RENAME_NOREPLACE},
	{"rename exchange", do_rename, RENAME_EXCHANGE},
	{"rename whiteout", do_rename, RENAME_WHITEOUT},
	{"rename odd", do_rename, 8 | RENAME_EXCHANGE},
};

static const struct call for_rights[] = {
	{"open r", do_open, O_RDONLY},
	{"open w", do_open, O_WRONLY},
	{"open rw", do_open, O_RDWR},
	{"open r trunc", do_open, O_RDONLY | O_TRUNC},
	{"truncate", do_truncate, 5},
	{"utimens now", do_utimens, 0},
	{"access r", do_access, R_OK},
	{"access w", do_access, W_OK},
	{"access x", do_access, X_OK},
	{"chdir", do_chdir, 0},
	{"execute", do_execute, 0},
	{"list", do_list, 0},
	{"stat inside", do_stat_inside, 0},
	{"make inside", do_make_inside, 0},
	{"remove inside", do_remove_inside, 0},
};

#define MAKE(how, mode, mask)                                                                      \
	{                                                                                          \
#how " " #mode " umask " #mask, make_by_##how, (mode) << 16 | (mask)               \
	}
#define MAKES(how)                                                                                 \
	MAKE(how, 0777, 022), MAKE(how, 0151, 0), MAKE(how, 0151, 077), MAKE(how, 0345, 070),      \
		MAKE(how, 0501, 0345), MAKE(how, 0777, 0777), MAKE(how, 07777, 022),               \
		MAKE(how, 02777, 020), MAKE(how, 04666, 0), MAKE(how, 01755, 0)

static const struct call for_makers[] = {MAKES(open), MAKES(mkdir), MAKES(mkfifo), MAKES(mknod)};

const struct calls one = {on_one, NR(on_one)};
const struct calls two = {on_two, NR(on_two)};
const struct calls rights = {for_rights, NR(for_rights)};
const struct calls makers = {for_makers, NR(for_makers)};
