/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs share: one of them at a time has an image. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS	    20
#define TOOL_POLLS  250	 /* 5 s */
#define MOUNT_POLLS 1500 /* 30 s */

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

/* The file behind a loop device, so that it is not mounted by its own name as well. */
static bool backing_path(const struct stat *st, char *ret_path, size_t size)
{
	char name[64];
	FILE *f;
	size_t n;

	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/loop/backing_file", major(st->st_rdev),
		 minor(st->st_rdev));
	f = fopen(name, "re");
	if (!f)
		return false;
	n = fread(ret_path, 1, size - 1, f);
	fclose(f);
	ret_path[n] = '\0';
	ret_path[strcspn(ret_path, "\n")] = '\0';
	return n > 0;
}

/* What a path means, whatever its name: a file, the file behind a loop device, or a device. */
struct identity {
	dev_t device;
	ino_t inode; /* 0: a device */
};

static bool identify(const char *path, struct identity *ret)
{
	char backing[PATH_MAX];
	struct stat st, file;

	if (stat(path, &st) < 0)
		return false;
	*ret = (struct identity){.device = st.st_dev, .inode = st.st_ino};
	if (!S_ISBLK(st.st_mode))
		return true;
	*ret = (struct identity){.device = st.st_rdev};
	if (backing_path(&st, backing, sizeof(backing)) && stat(backing, &file) == 0)
		*ret = (struct identity){.device = file.st_dev, .inode = file.st_ino};
	return true;
}

static bool has_source(const char *source, const struct identity *want)
{
	struct identity id;

	return *source == '/' && identify(source, &id) && id.device == want->device &&
	       id.inode == want->inode;
}

/* A mount of source, or else ours at dir.  The last match counts: mounts stack. */
static bool find_mount(const struct identity *source, const char *dir, char *ret, size_t size)
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
		if (source ? !has_source(s, source) : strcmp(d, dir) != 0 || !strstr(t, ".bufs"))
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
	struct identity id;

	return identify(source, &id) && find_mount(&id, NULL, ret_dir, size);
}

bool mounted_source(const char *dir, char *ret_source, size_t size)
{
	return find_mount(NULL, dir, ret_source, size);
}

/*
 * Two locks: flock() for the file, exclusively only by who writes all of it, and one for the range.  So parts exclude
 * each other where they overlap, and what takes the whole excludes every part, also programs that know flock() alone.
 */
static int try_lock(int fd, bool write, const struct image_range *part)
{
	struct flock range = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

	if (part) {
		range.l_start = (off_t)part->offset_bytes;
		range.l_len = (off_t)part->size_bytes;
	}
	if (flock(fd, (write && !part ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &range) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* There is no flock() with a limit of time; a daemon that ends takes a moment to write its data. */
static int lock(int fd, bool write, enum image_use use, const char *path,
		const struct image_range *part)
{
	const int polls = use == IMAGE_TOOL || part ? TOOL_POLLS : MOUNT_POLLS;
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	char dir[PATH_MAX];
	int i, r;

	for (i = 0; i < polls; i++) {
		r = try_lock(fd, write, part);
		if (r != -EAGAIN)
			return r;
		/* what is mounted of it need not be this part */
		if (!part && mounted_at(path, dir, sizeof(dir)))
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

/*
 * The kernel's own claim of a device, which a mount of it has too.  A tool keeps it; a mount tries it
 * and gives it back, for the kernel takes it for fuseblk.
 */
static int lock_device(const char *path, bool write, enum image_use use, int *ret_fd)
{
	int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (use == IMAGE_TOOL)
		*ret_fd = fd;
	else
		close(fd);
	return 0;
}

static int lock_backing(const struct stat *st, bool write, enum image_use use, int *ret_fd)
{
	char path[PATH_MAX];

	if (!backing_path(st, path, sizeof(path)))
		return 0;
	*ret_fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	/* deleted, or of another namespace: nobody can mount it by its name */
	return *ret_fd < 0 ? 0 : lock(*ret_fd, write, use, path, NULL);
}

static int open_image(const char *path, bool write, int *ret_fd)
{
	int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC), read_only = 0;

	if (fd < 0 && (!write || access(path, R_OK) < 0))
		return -errno;
	/* a read-only device can be opened for writing, but not written */
	if (fd >= 0 && (!write || ioctl(fd, BLKROGET, &read_only) < 0 || !read_only)) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return -EROFS;
}

int image_claim(const char *path, bool write, enum image_use use, const struct image_range *part,
		struct image_lock *ret_lock)
{
	struct image_lock l = {.fd = -1, .device_fd = -1, .backing_fd = -1};
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return -errno;
	/* opening a FIFO would wait for its other end */
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENOTBLK;
	r = open_image(path, write, &l.fd);
	if (r < 0)
		return r;
	r = lock(l.fd, write, use, path, part);
	if (r == 0 && S_ISBLK(st.st_mode))
		r = lock_backing(&st, write, use, &l.backing_fd);
	if (r == 0 && S_ISBLK(st.st_mode) && (write || use == IMAGE_MOUNT))
		r = lock_device(path, write, use, &l.device_fd);
	if (r < 0)
		image_release(&l);
	else
		*ret_lock = l;
	return r;
}

void image_release(const struct image_lock *l)
{
	int fds[] = {l->device_fd, l->backing_fd, l->fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
