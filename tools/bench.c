/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.bufs: how fast things are, against targets and against peers in the same run. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Written, not only allocated: a device reads nothing for a hole. */
static void make_file(const char *path)
{
	size_t size = 1 << 20;
	char *data = malloc(size);
	uint64_t random = 88172645463325252;
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	bench_must(fd < 0 ? -errno : 0, path);
	bench_must(data ? 0 : -ENOMEM, path);
	for (size_t i = 0; i < size; i += 8)
		memcpy(data + i, &(uint64_t){next_random(&random)}, 8);
	for (uint64_t at = 0; at < BENCH_BYTES; at += size)
		bench_must(write(fd, data, size) == (ssize_t)size ? 0
			   : errno				  ? -errno
								  : -ENOSPC,
			   path);
	bench_must(fsync(fd) ? -errno : 0, path);
	close(fd);
	free(data);
}

static void print_machine(void)
{
	char line[256], model[256] = "unknown";
	FILE *f = fopen("/proc/cpuinfo", "re");
	struct utsname u;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %255[^\n]", model) == 1)
			break;
	if (f)
		fclose(f);
	uname(&u);
	printf("%ld CPUs (%s), Linux %s\n\n", sysconf(_SC_NPROCESSORS_ONLN), model, u.release);
	printf("| what | measured | target | | |\n|---|---|---|---|---|\n");
}

static int usage(void)
{
	fprintf(stderr, "usage: bench.bufs bufio [DIRECTORY]\n"
			"Measures libbufio.  DIRECTORY (/var/tmp) is on the device to be measured\n"
			"and has room for 1 GiB.  Ends with 1 if a target is missed.\n");
	return 2;
}

int main(int argc, char **argv)
{
	char path[4096];

	if (argc < 2 || argc > 3 || strcmp(argv[1], "bufio") != 0)
		return usage();
	if (snprintf(path, sizeof(path), "%s/bench.bufs.%ld", argc > 2 ? argv[2] : "/var/tmp",
		     (long)getpid()) >= (int)sizeof(path))
		return usage();
	print_machine();
	make_file(path);
	bench_cached(path);
	bench_device(path);
	unlink(path);
	return bench_nr_missed() ? 1 : 0;
}
