/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any operation on any of a few names, some of which are of folders that others work in too. */
#include "stress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOST (1u << 17)

static char data[MOST];

unsigned stress_draw(uint64_t *random, unsigned below)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(*random >> 33) % below;
}

bool is_dead(const char *what)
{
	/* what names that others use too may give, or a full device, or what is not supported */
	static const int expected[] = {0,      ENOENT, EEXIST, ENOTDIR,	   EISDIR, ENOTEMPTY,
				       EINVAL, ENOSPC, ELOOP,  EOPNOTSUPP, ENXIO,  ENODATA,
				       EBUSY,  EMLINK, EFBIG,  ERANGE,	   EPERM,  ETXTBSY,
				       EAGAIN, E2BIG,  ESPIPE};

	if (errno == ENOTCONN || errno == ECONNABORTED)
		return true;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (errno == expected[i])
			return false;
	fprintf(stderr, "%s: %m\n", what);
	exit(1);
}

static void draw_path(uint64_t *random, char path[64])
{
	static const char *const dirs[] = {"", "d0/", "d1/", "d1/d0/", "../shared/"};

	snprintf(path, 64, "%s%c%u", dirs[stress_draw(random, 5)],
		 stress_draw(random, 4) ? 'f' : 'd',
		 stress_draw(random, stress_draw(random, 8) ? 6 : 200));
}

/* Open, do, close; what is done gets the size to work with. */
typedef int action(int fd, uint64_t *random);

static int with_file(const char *path, uint64_t *random, action *act)
{
	static const int flags[] = {O_CREAT, O_CREAT | O_TRUNC, O_CREAT | O_EXCL,
				    O_SYNC,  O_DSYNC,		0};
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | flags[stress_draw(random, 6)], 0644);
	int r, e;

	if (fd < 0)
		return -1;
	r = act(fd, random);
	e = errno;
	close(fd);
	errno = e;
	return r;
}

static off_t draw_offset(uint64_t *random)
{
	return stress_draw(random, stress_draw(random, 16) ? MOST : 1u << 30);
}

static int act_write(int fd, uint64_t *random)
{
	return (int)pwrite(fd, data, stress_draw(random, stress_draw(random, 4) ? 5000 : MOST),
			   draw_offset(random));
}

static int act_append(int fd, uint64_t *random)
{
	if (lseek(fd, 0, SEEK_END) < 0)
		return -1;
	return (int)write(fd, data, stress_draw(random, 9000));
}

static int act_read(int fd, uint64_t *random)
{
	char part[9000];

	return (int)pread(fd, part, sizeof(part), draw_offset(random));
}

static int act_truncate(int fd, uint64_t *random)
{
	return ftruncate(fd, draw_offset(random));
}

static int act_sync(int fd, uint64_t *random)
{
	return stress_draw(random, 2) ? fsync(fd) : fdatasync(fd);
}

static int act_fallocate(int fd, uint64_t *random)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};

	return fallocate(fd, modes[stress_draw(random, 5)], stress_draw(random, MOST),
			 stress_draw(random, MOST) + 1);
}

static int act_map(int fd, uint64_t *random)
{
	size_t size = 8192;
	char *p;
	int r;

	if (ftruncate(fd, (off_t)size) < 0)
		return -1;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	r = msync(p, size, MS_SYNC);
	munmap(p, size);
	return r;
}

static int act_copy(int fd, uint64_t *random)
{
	loff_t from = stress_draw(random, MOST), to = from + MOST;

	return (int)copy_file_range(fd, &from, fd, &to, stress_draw(random, MOST), 0);
}

static int act_xattr(int fd, uint64_t *random)
{
	char name[] = "user.x";

	name[5] = (char)('a' + stress_draw(random, 4));
	if (stress_draw(random, 4) == 0)
		return fremovexattr(fd, name);
	return fsetxattr(fd, name, data, stress_draw(random, stress_draw(random, 4) ? 50 : 3000),
			 0);
}

static int act_chmod(int fd, uint64_t *random)
{
	return fchmod(fd, 0600 | stress_draw(random, 0200));
}

static int list(const char *path)
{
	DIR *d = opendir(path);
	int e;

	if (!d)
		return -1;
	errno = 0;
	while (readdir(d))
		;
	e = errno;
	closedir(d);
	errno = e;
	return e ? -1 : 0;
}

static int operate_on_file(const char *path, uint64_t *random)
{
	static action *const actions[] = {act_write, act_write,	   act_append, act_append,
					  act_read,  act_truncate, act_sync,   act_fallocate,
					  act_map,   act_copy,	   act_xattr,  act_chmod};

	return with_file(path, random, actions[stress_draw(random, 12)]);
}

static int operate(uint64_t *random)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	char path[64], other[64];

	draw_path(random, path);
	draw_path(random, other);
	switch (stress_draw(random, 20)) {
	case 0:
	case 1:
		return mkdir(path, 0755);
	case 2:
		return rmdir(path);
	case 3:
	case 4:
		return unlink(path);
	case 5:
	case 6:
		return renameat2(AT_FDCWD, path, AT_FDCWD, other, flags[stress_draw(random, 4)]);
	case 7:
		return link(path, other);
	case 8:
		return symlink(path, other);
	case 9:
		return mkfifo(path, 0600);
	case 10:
		return list(stress_draw(random, 2) ? "." : "../shared");
	case 11:
		return truncate(path, draw_offset(random));
	default:
		return operate_on_file(path, random);
	}
}

void stress_work(uint64_t seed, uint64_t limit)
{
	uint64_t random = seed;

	memset(data, 'w', sizeof(data));
	for (uint64_t n = 0; !limit || n < limit; n++)
		if (operate(&random) < 0 && is_dead("an operation"))
			return;
}
