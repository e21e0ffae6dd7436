/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Becoming a daemon in such a way that the caller hears how it went. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static int wait_ready(int fd, pid_t pid)
{
	char byte;
	ssize_t n;
	int status;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	close(fd);
	if (n == 1)
		return 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 2;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 2;
}

int daemon_fork(int *ret_code, int *ret_ready_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (pid > 0) {
		close(fds[1]);
		*ret_code = wait_ready(fds[0], pid);
		return 0;
	}
	close(fds[0]);
	setsid();
	*ret_ready_fd = fds[1];
	return 1;
}

void daemon_ready(int ready_fd)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		close(null);
	}
	/* the parent may be gone; then nobody waits */
	if (write(ready_fd, "", 1) < 0)
		null = -1;
	close(ready_fd);
}

/*
 * Who ends as the last process that sees its mounts unmounts them, and for fuseblk the kernel asks the daemon then.  If that
 * is the very daemon, killed, it waits for itself for ever, and sync(2) of everybody with it: what is left to do at the end of
 * a process is done the newest first, and unmounting is newer than the close of /dev/fuse.  With a file that holds
 * the namespace unmounting begins with the close of that file, and ends after that of /dev/fuse.
 */
static void hold_mounts_with_a_file(void)
{
	/* closed by the kernel alone; without /proc it stays as it is */
	open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
}

void daemon_harden(void)
{
	FILE *f;

	hold_mounts_with_a_file();
	/* memory reclaim must not write back pages through us while we allocate; needs privilege */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (geteuid() == 0) {
		f = fopen("/proc/self/oom_score_adj", "we");
		if (f) {
			fputs("-500", f);
			fclose(f);
		}
	}
	umask(0);
	if (chdir("/") < 0)
		umask(0);
}
