/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_mount FOLDER SEED CALLS ROUNDS; $REMOUNT, if set, is what mounts anew between two rounds. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NR_LAST (sizeof(((struct fuzz *)0)->last) / sizeof(((struct fuzz *)0)->last[0]))

uint64_t fuzz_random(struct fuzz *f, uint64_t below)
{
	f->seed ^= f->seed >> 12;
	f->seed ^= f->seed << 25;
	f->seed ^= f->seed >> 27;
	return f->seed * UINT64_C(2685821657736338717) % below;
}

void fuzz_say(struct fuzz *f, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(f->last[f->nr_calls++ % NR_LAST], sizeof(f->last[0]), format, list);
	va_end(list);
}

void fuzz_differs(struct fuzz *f, const char *format, ...)
{
	unsigned from = f->nr_calls > NR_LAST ? f->nr_calls - (unsigned)NR_LAST : 0;
	va_list list;

	for (unsigned i = from; i < f->nr_calls; i++)
		printf("%u: %s\n", i, f->last[i % NR_LAST]);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	exit(1);
}

void fuzz_expect(struct fuzz *f, long result, int error)
{
	if (error ? result != -1 || errno != error : result != 0)
		fuzz_differs(f, "result %ld (%s), not that of %s", result,
			     result == -1 ? strerror(errno) : "no error", strerror(error));
}

const char *fuzz_path(struct fuzz *f, int name, char path[4096])
{
	snprintf(path, 4096, "%s/%d/%d", f->top, name % FUZZ_DIRS, name);
	return path;
}

int fuzz_open(struct fuzz *f, struct fuzz_file *file)
{
	char path[4096];
	int name = 0;

	if (file->fd >= 0)
		return file->fd;
	while (f->name[name] != file - f->file)
		name++;
	file->fd = open(fuzz_path(f, name, path), O_RDWR);
	if (file->fd < 0)
		fuzz_differs(f, "open %d: %s", name, strerror(errno));
	return file->fd;
}

void fuzz_close(struct fuzz *f, struct fuzz_file *file)
{
	fuzz_expect(f, close(file->fd), 0);
	file->fd = -1;
	file->used = file->nlink != 0;
}

static bool before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static bool same(struct timespec a, struct timespec b)
{
	return !before(a, b) && !before(b, a);
}

static void check_times(struct fuzz *f, const struct stat *old, const struct stat *now,
			enum fuzz_change change)
{
	/* one that was set may lie ahead of the clock; but what changes now is not older than the last change */
	bool mtime = change == CHANGED_BOTH ? !before(now->st_mtim, old->st_ctim)
					    : same(now->st_mtim, old->st_mtim);
	bool ctime = change == CHANGED_NOTHING ? same(now->st_ctim, old->st_ctim)
					       : !before(now->st_ctim, old->st_ctim);

	if (!mtime || !ctime)
		fuzz_differs(f, "mtime %ld.%09ld, was %ld.%09ld; ctime %ld.%09ld, was %ld.%09ld",
			     (long)now->st_mtim.tv_sec, now->st_mtim.tv_nsec,
			     (long)old->st_mtim.tv_sec, old->st_mtim.tv_nsec,
			     (long)now->st_ctim.tv_sec, now->st_ctim.tv_nsec,
			     (long)old->st_ctim.tv_sec, old->st_ctim.tv_nsec);
}

void fuzz_check_stat(struct fuzz *f, struct fuzz_file *file, enum fuzz_change change)
{
	struct stat now;

	fuzz_expect(f, fstat(fuzz_open(f, file), &now), 0);
	if ((uint64_t)now.st_size != file->size || now.st_nlink != file->nlink ||
	    (now.st_mode & 07777) != file->mode)
		fuzz_differs(f, "size %ld, not %lu; links %lu, not %u; mode %#o, not %#o",
			     (long)now.st_size, file->size, (unsigned long)now.st_nlink,
			     file->nlink, now.st_mode & 07777, file->mode);
	if (file->seen.st_ino && now.st_ino != file->seen.st_ino)
		fuzz_differs(f, "inode %lu, was %lu", (unsigned long)now.st_ino,
			     (unsigned long)file->seen.st_ino);
	check_times(f, &file->seen, &now, change);
	file->seen = now;
}

/* Blocks of [from, to) are a hole, or data. */
static void check_blocks(struct fuzz *f, const struct fuzz_file *file, off_t from, off_t to,
			 enum fuzz_block is)
{
	if ((from % FUZZ_BLOCK && from != (off_t)file->size) ||
	    (to % FUZZ_BLOCK && to != (off_t)file->size))
		fuzz_differs(f, "a hole or data in [%ld, %ld) of %lu", (long)from, (long)to,
			     file->size);
	/* what is in the first block may be in the inode */
	for (off_t b = from / FUZZ_BLOCK; b * FUZZ_BLOCK < to; b++)
		if (b && file->block[b] != BLOCK_EITHER && file->block[b] != is)
			fuzz_differs(f, "block %ld is %s", (long)b,
				     is == BLOCK_HOLE ? "a hole" : "data");
	for (off_t i = from; is == BLOCK_HOLE && i < to; i++)
		if (file->data[i])
			fuzz_differs(f, "byte %ld is in a hole", (long)i);
}

static void check_holes(struct fuzz *f, const struct fuzz_file *file)
{
	off_t at = 0, size = (off_t)file->size;

	while (at < size) {
		off_t data = lseek(file->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno != ENXIO)
			fuzz_differs(f, "SEEK_DATA %ld: %s", (long)at, strerror(errno));
		data = data < 0 ? size : data;
		check_blocks(f, file, at, data, BLOCK_HOLE);
		if (data == size)
			return;
		hole = lseek(file->fd, data, SEEK_HOLE);
		if (hole <= data || hole > size)
			fuzz_differs(f, "SEEK_HOLE %ld: %ld", (long)data, (long)hole);
		check_blocks(f, file, data, hole, BLOCK_DATA);
		at = hole;
	}
}

static void check_xattr(struct fuzz *f, const struct fuzz_file *file)
{
	uint8_t value[sizeof(file->xattr)];
	ssize_t n = fgetxattr(file->fd, "user.fuzz", value, sizeof(value));

	if (file->xattr_bytes < 0)
		fuzz_expect(f, n, ENODATA);
	else if (n != file->xattr_bytes || memcmp(value, file->xattr, (size_t)n) != 0)
		fuzz_differs(f, "xattr of %zd bytes, not %d", n, file->xattr_bytes);
}

void fuzz_check_file(struct fuzz *f, struct fuzz_file *file)
{
	uint8_t *data = malloc(FUZZ_BYTES + 1);

	fuzz_open(f, file);
	fuzz_say(f, "look at all of file %ld", (long)(file - f->file));
	if (!data)
		fuzz_differs(f, "no memory");
	fuzz_expect(f, pread(file->fd, data, FUZZ_BYTES + 1, 0) - (long)file->size, 0);
	for (uint64_t i = 0; i < file->size; i++)
		if (data[i] != file->data[i])
			fuzz_differs(f, "byte %lu is %u, not %u", i, data[i], file->data[i]);
	free(data);
	check_holes(f, file);
	check_xattr(f, file);
	fuzz_check_stat(f, file, CHANGED_NOTHING);
}

static void start(struct fuzz *f)
{
	char path[4096];

	for (int i = 0; i < FUZZ_DIRS; i++) {
		snprintf(path, sizeof(path), "%s/%d", f->top, i);
		fuzz_expect(f, mkdir(path, 0755), 0);
	}
	for (int i = 0; i < FUZZ_NAMES; i++)
		f->name[i] = -1;
	for (int i = 0; i < FUZZ_FILES; i++) {
		f->file[i].fd = -1;
		f->file[i].data = calloc(1, FUZZ_BYTES);
		if (!f->file[i].data)
			fuzz_differs(f, "no memory");
	}
}

static void one_call(struct fuzz *f)
{
	struct fuzz_file *file = &f->file[fuzz_random(f, FUZZ_FILES)];

	if (fuzz_random(f, 3) == 0 || !file->used)
		fuzz_names(f);
	else
		fuzz_bytes(f, file);
}

static void check_all(struct fuzz *f)
{
	for (int i = 0; i < FUZZ_FILES; i++)
		if (f->file[i].used)
			fuzz_check_file(f, &f->file[i]);
}

static void remount(struct fuzz *f, const char *command)
{
	for (int i = 0; i < FUZZ_FILES; i++)
		if (f->file[i].used && f->file[i].fd >= 0)
			fuzz_close(f, &f->file[i]);
	fuzz_say(f, "remount");
	if (system(command) != 0)
		fuzz_differs(f, "%s", command);
	check_all(f);
}

int main(int argc, char **argv)
{
	static struct fuzz f;
	const char *command = getenv("REMOUNT");
	unsigned calls, rounds;

	if (argc != 5) {
		fputs("fuzz_mount FOLDER SEED CALLS ROUNDS\n", stderr);
		return 2;
	}
	f.top = argv[1];
	f.seed = strtoull(argv[2], NULL, 10) * 2 + 1;
	calls = (unsigned)strtoul(argv[3], NULL, 10);
	rounds = (unsigned)strtoul(argv[4], NULL, 10);
	printf("seed %s\n", argv[2]);
	umask(0);
	start(&f);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < calls; i++)
			one_call(&f);
		check_all(&f);
		if (command)
			remount(&f, command);
	}
	return 0;
}
