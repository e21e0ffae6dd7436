/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* durable WAY DAEMON: make "file" in the current folder durable in one way, and kill the daemon the moment that has returned. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 20000

static char data[SIZE];

static void must(const char *what, long r)
{
	if (r >= 0)
		return;
	perror(what);
	exit(1);
}

static int sync_file(int flags)
{
	int fd = open("file", flags | O_CLOEXEC);

	must("open", fd);
	return fsync(fd);
}

static int write_file(int flags)
{
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);

	must("open", fd);
	must("write", write(fd, data, SIZE) == SIZE ? 0 : -1);
	return fd;
}

static int map_file(void)
{
	int fd = write_file(0);
	char *p;

	must("fsync", fsync(fd));
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must("mmap", p == MAP_FAILED ? -1 : 0);
	memset(p, 'm', SIZE);
	return msync(p, SIZE, MS_SYNC);
}

int main(int argc, char **argv)
{
	const char *way = argc == 3 ? argv[1] : "";
	int r = -1;

	memset(data, 'd', SIZE);
	if (!strcmp(way, "O_SYNC"))
		r = write_file(O_SYNC);
	else if (!strcmp(way, "O_DSYNC"))
		r = write_file(O_DSYNC);
	else if (!strcmp(way, "syncfs"))
		r = syncfs(write_file(0));
	else if (!strcmp(way, "msync"))
		r = map_file();
	else if (!strcmp(way, "fsync-rdonly") && write_file(0) >= 0)
		r = sync_file(O_RDONLY);
	must(way, r);
	must("kill", kill((pid_t)atoi(argv[2]), SIGKILL));
	return 0;
}
