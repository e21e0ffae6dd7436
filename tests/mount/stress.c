/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stress run DIR TABLE SEED DAEMON: processes work in DIR until one of them, after a while, kills the daemon.
 * stress verify DIR TABLE: what was promised in DIR is there.
 *
 * TABLE is a file outside.  Exit codes: 0; 1: something failed that must not, or is not there.
 */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_WORKERS 3u
#define NR_PROMISE 2u

static void give_up(const char *what)
{
	perror(what);
	exit(1);
}

static struct promise *open_table(const char *path, bool create)
{
	size_t size = NR_PROMISE * PROMISE_FILES * sizeof(struct promise);
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0600);
	void *p;

	if (fd < 0 || (create && ftruncate(fd, (off_t)size) < 0))
		give_up(path);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		give_up(path);
	close(fd);
	return p;
}

static void enter(const char *name, bool create)
{
	if (create && mkdir(name, 0755) < 0 && errno != EEXIST)
		give_up(name);
	if (chdir(name) < 0)
		give_up(name);
}

/* Kills the daemon after some thousand operations; the others are in the middle of theirs. */
static void work(unsigned n, uint64_t seed, pid_t daemon)
{
	char name[16];

	snprintf(name, sizeof(name), "work%u", n);
	enter(name, false);
	stress_work(seed, n == 0 ? 1000 + seed % 7919 : 0);
	if (n == 0 && kill(daemon, SIGKILL) < 0)
		give_up("kill");
}

static pid_t start(unsigned n, struct promise *table, uint64_t seed, pid_t daemon)
{
	pid_t pid = fork();
	char name[16];

	if (pid < 0)
		give_up("fork");
	if (pid > 0)
		return pid;
	if (n < NR_WORKERS) {
		work(n, seed + n, daemon);
		exit(0);
	}
	n -= NR_WORKERS;
	snprintf(name, sizeof(name), "promise%u", n);
	enter(name, false);
	promises_make(table + n * PROMISE_FILES, seed ^ (n + 1));
	exit(0);
}

static void make_dirs(void)
{
	char name[16];

	if (mkdir("shared", 0755) < 0 && errno != EEXIST)
		give_up("shared");
	for (unsigned n = 0; n < NR_WORKERS; n++) {
		snprintf(name, sizeof(name), "work%u", n);
		if (mkdir(name, 0755) < 0 && errno != EEXIST)
			give_up(name);
	}
	for (unsigned n = 0; n < NR_PROMISE; n++) {
		snprintf(name, sizeof(name), "promise%u", n);
		if (mkdir(name, 0755) < 0)
			give_up(name);
	}
}

static int run(const char *dir, struct promise *table, uint64_t seed, pid_t daemon)
{
	int status, failed = 0;

	enter(dir, false);
	make_dirs();
	for (unsigned n = 0; n < NR_WORKERS + NR_PROMISE; n++)
		start(n, table, seed, daemon);
	while (wait(&status) > 0) {
		/* the others would never end */
		if (status != 0 && !failed)
			kill(daemon, SIGKILL);
		failed |= status != 0;
	}
	return failed;
}

static int verify(const char *dir, const struct promise *table)
{
	unsigned long long nr = 0;
	bool kept = true;
	char path[4096];

	for (unsigned n = 0; n < NR_PROMISE; n++) {
		snprintf(path, sizeof(path), "%s/promise%u", dir, n);
		enter(path, false);
		kept &= promises_kept(table + n * PROMISE_FILES);
	}
	for (unsigned i = 0; i < NR_PROMISE * PROMISE_FILES; i++)
		nr += table[i].done;
	printf("%llu promises were made\n", nr);
	return kept ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "run"))
		return run(argv[2], open_table(argv[3], true), strtoull(argv[4], NULL, 0),
			   (pid_t)atoi(argv[5]));
	if (argc == 4 && !strcmp(argv[1], "verify"))
		return verify(argv[2], open_table(argv[3], false));
	fprintf(stderr, "usage: stress run DIR TABLE SEED DAEMON | verify DIR TABLE\n");
	return 2;
}
