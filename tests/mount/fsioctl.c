/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fsioctl label PATH [NEW] | trim PATH START SIZE MIN | shutdown PATH MODE | version PATH | unknown PATH */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define IOC_UNKNOWN  _IOWR('z', 99, uint32_t)

static int label(int fd, const char *new)
{
	char text[FSLABEL_MAX] = {0};

	if (new) {
		strncpy(text, new, sizeof(text) - 1);
		return ioctl(fd, FS_IOC_SETFSLABEL, text);
	}
	if (ioctl(fd, FS_IOC_GETFSLABEL, text) < 0)
		return -1;
	puts(text);
	return 0;
}

static int trim(int fd, char **argv)
{
	struct fstrim_range range = {.start = strtoull(argv[0], NULL, 0),
				     .len = strtoull(argv[1], NULL, 0),
				     .minlen = strtoull(argv[2], NULL, 0)};

	if (ioctl(fd, FITRIM, &range) < 0)
		return -1;
	printf("%ju\n", (uintmax_t)range.len);
	return 0;
}

static int shut_down(int fd, const char *mode)
{
	uint32_t flags = (uint32_t)strtoul(mode, NULL, 0);

	return ioctl(fd, IOC_SHUTDOWN, &flags);
}

/* As lsattr does: an int, and what is behind it stays as it was. */
static int version(int fd)
{
	int v[2] = {0, 0x5a5a5a5a};

	if (ioctl(fd, FS_IOC_GETVERSION, v) < 0)
		return -1;
	printf("%d %x\n", v[0], (unsigned)v[1]);
	return 0;
}

static int run(int fd, int argc, char **argv)
{
	uint32_t number = 0;

	if (!strcmp(argv[1], "label"))
		return label(fd, argv[3]);
	if (!strcmp(argv[1], "trim") && argc == 6)
		return trim(fd, argv + 3);
	if (!strcmp(argv[1], "shutdown") && argc == 4)
		return shut_down(fd, argv[3]);
	if (!strcmp(argv[1], "version"))
		return version(fd);
	if (!strcmp(argv[1], "unknown"))
		return ioctl(fd, IOC_UNKNOWN, &number);
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? open(argv[2], O_RDONLY) : -1;

	if (fd < 0 || run(fd, argc, argv) < 0) {
		fprintf(stderr, "%s\n", strerrorname_np(errno));
		return 1;
	}
	return 0;
}
