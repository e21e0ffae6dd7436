/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs share: one of them at a time has an image. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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
