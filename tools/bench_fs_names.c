/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names: made, looked for, changed, listed, removed. */
#include "bench_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL	   4096u
#define PER_FOLDER 13u
#define NAME	   64

static const char contents[256 * 1024] = "contents";

static void name_of(char *name, unsigned thread, const char *kind, uint64_t i)
{
	snprintf(name, NAME, "d%u/%s%llu", thread, kind, (unsigned long long)i);
}

static uint64_t create_part(unsigned thread, uint64_t nr)
{
	char name[NAME];
	int fd;

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "f", i);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		must(fd >= 0, name);
		close(fd);
	}
	return nr;
}

static void write_small(const char *name, size_t size)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	must(fd >= 0, name);
	must(write(fd, contents, size) == (ssize_t)size, name);
	close(fd);
}

static uint64_t write_part(unsigned thread, uint64_t nr)
{
	char name[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "f", i);
		write_small(name, SMALL);
	}
	return nr;
}

static uint64_t stat_part(unsigned thread, uint64_t nr)
{
	char name[NAME];
	struct stat st;

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "f", i);
		must(stat(name, &st) == 0, name);
	}
	return nr;
}

static uint64_t missing_part(unsigned thread, uint64_t nr)
{
	char name[NAME];
	struct stat st;

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "none", i % 100);
		must(stat(name, &st) < 0 && errno == ENOENT, name);
	}
	return nr;
}

static uint64_t rename_part(unsigned thread, uint64_t nr)
{
	char name[NAME], other[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "f", i);
		name_of(other, thread, "g", i);
		must(rename(name, other) == 0, name);
	}
	return nr;
}

static uint64_t link_part(unsigned thread, uint64_t nr)
{
	char name[NAME], other[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "g", i);
		name_of(other, thread, "h", i);
		must(link(name, other) == 0, name);
	}
	return nr;
}

static uint64_t unlink_part(unsigned thread, uint64_t nr)
{
	char name[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, thread, "g", i);
		must(unlink(name) == 0, name);
		name_of(name, thread, "h", i);
		must(unlink(name) == 0, name);
	}
	return 2 * nr;
}

void bench_names(unsigned nr_threads, uint64_t nr)
{
	static const struct {
		const char *metric;
		part *f;
		unsigned passes; /* the last one is measured: what has been seen before */
	} steps[] = {
		{"create", create_part, 1},   {"write", write_part, 1},	  {"stat", stat_part, 2},
		{"missing", missing_part, 2}, {"rename", rename_part, 1}, {"link", link_part, 1},
		{"unlink", unlink_part, 1},
	};
	uint64_t ns = 0, done = 0;
	char name[NAME];

	for (unsigned i = 0; i < nr_threads; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		must(mkdir(name, 0700) == 0, name);
	}
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		for (unsigned p = 0; p < steps[s].passes; p++)
			done = run_threads(steps[s].f, nr_threads, nr / nr_threads, &ns);
		print_threads_rate(steps[s].metric, nr_threads, (double)done, ns);
	}
}

void bench_make_small(uint64_t nr)
{
	must(mkdir("d0", 0700) == 0, "d0");
	write_part(0, nr);
}

void bench_list(void)
{
	uint64_t ns = now_ns(), nr = 0;
	DIR *dir = opendir("d0");
	struct dirent *d;
	struct stat st;

	must(dir != NULL, "d0");
	while ((d = readdir(dir))) {
		must(fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0, d->d_name);
		nr++;
	}
	closedir(dir);
	print_rate("list", (double)nr, now_ns() - ns);
}

void bench_read_small(uint64_t nr)
{
	uint64_t ns = now_ns();
	char name[NAME], data[SMALL];

	for (uint64_t i = 0; i < nr; i++) {
		int fd;

		name_of(name, 0, "f", i);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		must(fd >= 0, name);
		must(read(fd, data, SMALL) == SMALL, name);
		close(fd);
	}
	print_rate("read_small", (double)nr, now_ns() - ns);
}

static void print_directory_rate(const char *what, uint64_t nr, uint64_t ns)
{
	char metric[NAME];

	snprintf(metric, sizeof(metric), "directory_%s_%llu", what, (unsigned long long)nr);
	print_rate(metric, (double)nr, ns);
}

static void stat_at_random(uint64_t nr)
{
	uint64_t random = 1;
	char name[NAME];
	struct stat st;

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, 0, "f", next_random(&random) % nr);
		must(stat(name, &st) == 0, name);
	}
}

static void unlink_all(uint64_t nr)
{
	char name[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		name_of(name, 0, "f", i);
		must(unlink(name) == 0, name);
	}
}

void bench_one_directory(uint64_t nr)
{
	uint64_t ns;

	must(mkdir("d0", 0700) == 0, "d0");
	ns = now_ns();
	create_part(0, nr);
	print_directory_rate("create", nr, now_ns() - ns);
	ns = now_ns();
	stat_at_random(nr);
	print_directory_rate("stat", nr, now_ns() - ns);
	ns = now_ns();
	unlink_all(nr);
	print_directory_rate("unlink", nr, now_ns() - ns);
}

/* Most files are small, and most bytes are in large ones. */
static size_t tree_size(uint64_t *random)
{
	uint64_t r = next_random(random) % 16;

	if (r < 8)
		return 100 + next_random(random) % 8000;
	return r < 14 ? 8192 + next_random(random) % 40000
		      : 40000 + next_random(random) % (sizeof(contents) - 40000);
}

void bench_make_tree(uint64_t nr)
{
	char name[NAME], folder[NAME / 2] = "tree";
	uint64_t random = 12345;

	must(mkdir(folder, 0755) == 0, folder);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t k = i / PER_FOLDER;

		if (i % PER_FOLDER == 0) {
			snprintf(folder, sizeof(folder), "tree/%llu", (unsigned long long)(k % 40));
			must(k >= 40 || mkdir(folder, 0755) == 0, folder);
			snprintf(folder, sizeof(folder), "tree/%llu/%llu",
				 (unsigned long long)(k % 40), (unsigned long long)(k / 40));
			must(mkdir(folder, 0755) == 0, folder);
		}
		snprintf(name, sizeof(name), "%s/file%llu.c", folder, (unsigned long long)i);
		write_small(name, tree_size(&random));
	}
}

void bench_make_many(uint64_t nr)
{
	char name[NAME];

	for (uint64_t i = 0; i < nr; i++) {
		if (i % 1000 == 0) {
			snprintf(name, sizeof(name), "d%llu", (unsigned long long)(i / 1000));
			must(mkdir(name, 0700) == 0, name);
		}
		name_of(name, (unsigned)(i / 1000), "f", i);
		must(mknod(name, S_IFREG | 0600, 0) == 0, name);
	}
}
