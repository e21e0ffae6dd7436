/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench_fs.bufs WORKLOAD AMOUNT [THREADS], or: bench_fs.bufs run METRIC COUNT COMMAND...: how long that takes. */
#include "bench_fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run_command(const char *metric, double nr, char **argv)
{
	uint64_t ns = now_ns();
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	ns = now_ns() - ns;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "bench_fs.bufs: %s failed\n", argv[0]);
		return 1;
	}
	print_rate(metric, nr, ns);
	return 0;
}

static bool run_alone(const char *name, uint64_t amount)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t amount);
	} workloads[] = {
		{"write", bench_write},
		{"read", bench_read},
		{"random_write", bench_random_write},
		{"make_small", bench_make_small},
		{"read_small", bench_read_small},
		{"one_directory", bench_one_directory},
		{"make_many", bench_make_many},
		{"make_tree", bench_make_tree},
		{"sql", bench_sql},
	};

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (!strcmp(name, workloads[i].name)) {
			workloads[i].run(amount);
			return true;
		}
	}
	return false;
}

static bool run_by_threads(const char *name, unsigned nr_threads, uint64_t amount)
{
	static const struct {
		const char *name;
		void (*run)(unsigned nr_threads, uint64_t amount);
	} workloads[] = {
		{"append", bench_append},	    {"replace", bench_replace},
		{"overwrite", bench_overwrite},	    {"names", bench_names},
		{"random_read", bench_random_read},
	};

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (!strcmp(name, workloads[i].name)) {
			workloads[i].run(nr_threads, amount);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	uint64_t amount = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	unsigned nr_threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;

	if (argc > 4 && !strcmp(argv[1], "run"))
		return run_command(argv[2], strtod(argv[3], NULL), argv + 4);
	if (argc == 2 && !strcmp(argv[1], "list"))
		bench_list();
	else if (argc < 3 || argc > 4 || !nr_threads || nr_threads > MAX_THREADS ||
		 (!run_alone(argv[1], amount) && !run_by_threads(argv[1], nr_threads, amount))) {
		fprintf(stderr, "usage: see tools/bench_fs.sh\n");
		return 2;
	}
	return 0;
}
