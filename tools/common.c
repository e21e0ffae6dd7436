/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs share: one of them at a time has an image. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

int image_claim(const char *path, bool write, int *ret_fd)
{
	int flags = (write ? O_RDWR : O_RDONLY) | O_CLOEXEC, fd;
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	/* the kernel's own claim, which a mount of the device has too */
	if (write && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(path, flags);
	if (fd < 0)
		return -errno;
	if (flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

#define POLL_MS	 100
#define WAIT_MAX 300 /* times POLL_MS: 30 s */

static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		unsigned c;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*out++ = (char)c;
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* One line of mountinfo; false if it is not to be understood. */
static bool parse_mount(char *line, char **ret_dir, char **ret_type, char **ret_source)
{
	char *save, *right = strstr(line, " - "), *dir;
	int i;

	if (!right)
		return false;
	*right = '\0';
	dir = strtok_r(line, " ", &save);
	for (i = 0; dir && i < 4; i++)
		dir = strtok_r(NULL, " ", &save);
	*ret_type = strtok_r(right + 3, " ", &save);
	*ret_source = strtok_r(NULL, " ", &save);
	if (!dir || !*ret_type || !*ret_source)
		return false;
	unescape(dir);
	unescape(*ret_source);
	*ret_dir = dir;
	return true;
}

/* The last match counts: mounts stack. */
static bool find_mount(const char *source, const char *dir, char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *d, *t, *s;
	bool found = false;
	size_t n = 0;

	if (!f)
		return false;
	while (getline(&line, &n, f) > 0) {
		if (!parse_mount(line, &d, &t, &s))
			continue;
		if (source ? strcmp(s, source) != 0 : strcmp(d, dir) != 0 || !strstr(t, ".bufs"))
			continue;
		snprintf(ret, size, "%s", source ? d : s);
		found = true;
	}
	free(line);
	fclose(f);
	return found;
}

bool mounted_at(const char *source, char *ret_dir, size_t size)
{
	return find_mount(source, NULL, ret_dir, size);
}

bool mounted_source(const char *dir, char *ret_source, size_t size)
{
	return find_mount(NULL, dir, ret_source, size);
}

/* There is no flock() with a limit of time; a daemon that ends takes a moment to write its data. */
static int lock_patiently(int fd, bool write, const char *path)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	char dir[PATH_MAX];
	int i;

	for (i = 0; i < WAIT_MAX; i++) {
		if (flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		if (mounted_at(path, dir, sizeof(dir)))
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/* The file behind a loop device, so that it is not mounted by its own name as well.  -1: none. */
static int open_backing(const struct stat *st)
{
	char name[64], path[PATH_MAX];
	FILE *f;
	size_t n;

	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/loop/backing_file", major(st->st_rdev),
		 minor(st->st_rdev));
	f = fopen(name, "re");
	if (!f)
		return -1;
	n = fread(path, 1, sizeof(path) - 1, f);
	fclose(f);
	path[n] = '\0';
	path[strcspn(path, "\n")] = '\0';
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Nobody else has the device: tried and given back, for fuseblk's mount claims it itself. */
static int test_exclusive(const char *path, bool write)
{
	int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int image_claim_for_mount(const char *path, bool write, struct image_lock *ret_lock)
{
	struct image_lock l = {.backing_fd = -1};
	struct stat st;
	int r;

	l.fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (l.fd < 0)
		return -errno;
	r = fstat(l.fd, &st) < 0 ? -errno : 0;
	if (r == 0 && !S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		r = -ENOTBLK;
	if (r == 0)
		r = lock_patiently(l.fd, write, path);
	if (r == 0 && S_ISBLK(st.st_mode)) {
		r = test_exclusive(path, write);
		l.backing_fd = open_backing(&st);
		if (r == 0 && l.backing_fd >= 0)
			r = lock_patiently(l.backing_fd, write, path);
	}
	if (r == 0) {
		*ret_lock = l;
		return 0;
	}
	if (l.backing_fd >= 0)
		close(l.backing_fd);
	close(l.fd);
	return r;
}
