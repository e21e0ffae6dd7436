/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_recovery.bufs IMAGE: how long the mount takes that finds a full log of 64 MiB.  The image is made anew, the
 * log filled with many small transactions, or with few that are as large as they get, and nobody unmounts.
 */
#include <bufio_engine.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"
#include "log.h"
#include "measure.h"
#include "mkfs.h"
#include "open.h"

#define LOG_BYTES   (UINT64_C(64) << 20)
#define IMAGE_BYTES (UINT64_C(4) << 30)

static void must(const char *what, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench_recovery: %s: %s\n", what, strerror(-r));
	exit(1);
}

static struct bufio_engine *open_image(const char *path)
{
	struct bufio_engine_options o = {.read_only = false};
	struct bufio_engine *e;

	must(path, bufio_engine_open(path, &o, &e));
	return e;
}

static void format(const char *path)
{
	const struct mkfs_options m = {.block_bytes = 4096,
				       .log_bytes = LOG_BYTES,
				       .nr_inodes = 1 << 19,
				       .uuid = {1},
				       .hash_seed = 1};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct bufio_engine *e;
	struct geometry g;

	if (fd < 0 || ftruncate(fd, (off_t)IMAGE_BYTES) < 0)
		must(path, -errno);
	close(fd);
	e = open_image(path);
	must("mkfs", mkfs_format(e, &m, &g));
	bufio_engine_destroy(e);
}

/* A file of 4 KiB, in a directory of its own for every thousand. */
static void make_file(struct fs *fs, unsigned n, uint64_t *dir)
{
	struct fs_new what = {.mode = S_IFDIR | 0755};
	static char data[4096];
	struct fs_attr a;
	char name[32];

	snprintf(name, sizeof(name), "%u", n);
	if (n % 1000 == 0) {
		must("mkdir", fs_make(fs, INODE_ROOT, name, &what, &a));
		*dir = a.ino;
	}
	what.mode = S_IFREG | 0644;
	must("create", fs_make(fs, *dir, name, &what, &a));
	memset(data, (char)n, sizeof(data));
	must("write", (int)fs_write(fs, a.ino, 0, data, sizeof(data)));
	fs_forget(fs, a.ino, 1);
}

/* Returns how many transactions are in the log. */
static unsigned fill(struct fs *fs, bool small)
{
	/* the next one must find room, or all goes home */
	uint32_t all = fs->geo.log_blocks, enough = small ? all - all / 64 : all / 4 * 3;
	uint32_t used = 0, last;
	unsigned n = 0, nr = 0;
	uint64_t dir = 0;

	do {
		last = used;
		make_file(fs, n++, &dir);
		if (small)
			must("commit", log_commit_open(fs->log));
		used = atomic_load(&fs->log->used_blocks);
		nr += used != last;
	} while (used >= last && used < enough);
	if (used < last)
		must("the log was emptied before it was full", -EAGAIN);
	return nr;
}

static void measure(const char *path, bool small)
{
	struct bufio_engine *e;
	struct fs_options o;
	struct fs *fs;
	uint64_t begin;
	unsigned nr;

	format(path);
	fs_options_init(&o);
	o.commit_ms = 0;
	e = open_image(path);
	must("mount", fs_mount(e, &o, &fs));
	nr = fill(fs, small);
	printf("%s transactions: %u, %u of %u blocks of the log; ", small ? "small" : "large", nr,
	       atomic_load(&fs->log->used_blocks), fs->geo.log_blocks);
	fs_close(fs);
	begin = now_ns();
	must("mount after the crash", fs_mount(e, &o, &fs));
	printf("mounted in %.2f s\n", (double)(now_ns() - begin) / NS_PER_S);
	must("unmount", fs_unmount(fs));
	bufio_engine_destroy(e);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_recovery.bufs IMAGE, which is overwritten\n");
		return 2;
	}
	measure(argv[1], true);
	measure(argv[1], false);
	return 0;
}
