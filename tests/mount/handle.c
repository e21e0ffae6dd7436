/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handle of PATH FILE: keep the handle of PATH in FILE.
 * handle open DIR FILE: open what it stands for, by the mount at DIR; says where that is, what, and its inode number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

union space {
	struct file_handle handle;
	char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
	return 1;
}

static int keep(const char *path, const char *file)
{
	union space s = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int mount_id, fd;

	if (name_to_handle_at(AT_FDCWD, path, &s.handle, &mount_id, 0) < 0)
		return fail(path);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, &s, sizeof(s)) != sizeof(s))
		return fail(file);
	return 0;
}

static int say(int fd)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstat(fd, &st) < 0)
		return fail(link);
	path[n] = 0;
	printf("%s %o %ju\n", path, st.st_mode & S_IFMT, (uintmax_t)st.st_ino);
	return 0;
}

static int open_it(const char *dir, const char *file)
{
	union space s;
	int fd = open(file, O_RDONLY), mount = open(dir, O_RDONLY | O_DIRECTORY), found;

	if (fd < 0 || mount < 0 || read(fd, &s, sizeof(s)) != sizeof(s))
		return fail(file);
	found = open_by_handle_at(mount, &s.handle, O_PATH);
	return found < 0 ? fail("open_by_handle_at") : say(found);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "of"))
		return keep(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "open"))
		return open_it(argv[2], argv[3]);
	fprintf(stderr, "usage: handle of PATH FILE | handle open DIR FILE\n");
	return 2;
}
