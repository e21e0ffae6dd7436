/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holes FOLDER BLOCK-SIZE HOLES: make holes in a file, so that its map grows, on a filesystem that is full, and fill it again
 * after each, with data and with attributes of other files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NR_OTHERS 20

static char data[3 * 65536];
static size_t block;

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static int make_file(const char *name)
{
	int fd = open(name, O_CREAT | O_RDWR | O_APPEND, 0644);

	must(fd >= 0, name);
	return fd;
}

static void fill(int fd)
{
	while (write(fd, data, block) > 0)
		;
	must(errno == ENOSPC, "fill");
}

static void add_attributes(const int *fds)
{
	static unsigned nr;
	char name[30];

	for (int n = 0; n < NR_OTHERS; n++) {
		snprintf(name, sizeof(name), "user.%u", nr++);
		must(fsetxattr(fds[n], name, data, block < 60000 ? block - 200 : 60000, 0) == 0 ||
			     errno == ENOSPC,
		     name);
	}
}

int main(int argc, char **argv)
{
	int file, filler, others[NR_OTHERS], nr_holes;
	char name[20];

	must(argc == 4 && chdir(argv[1]) == 0, "holes FOLDER BLOCK-SIZE HOLES");
	block = (size_t)atol(argv[2]);
	nr_holes = atoi(argv[3]);
	file = open("file", O_CREAT | O_RDWR, 0644);
	must(file >= 0, "file");
	filler = make_file("filler");
	for (int n = 0; n < NR_OTHERS; n++) {
		snprintf(name, sizeof(name), "%d", n);
		others[n] = make_file(name);
	}
	for (int n = 0; n < nr_holes; n++)
		must(pwrite(file, data, 3 * block, (off_t)(4 * block) * n) == (ssize_t)(3 * block),
		     "pwrite");
	must(fsync(file) == 0, "fsync");
	for (int n = 0; n < nr_holes; n++) {
		fill(filler);
		add_attributes(others);
		must(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)block * (4 * n + 1), (off_t)block) == 0,
		     "fallocate");
	}
	return 0;
}
