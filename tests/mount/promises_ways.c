/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ways in which promises makes a change durable. */
#include "promises.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

char *memory(size_t size, char fill)
{
	char *p = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	return memset(p, fill, size);
}

int open_file(const struct step *s, int flags)
{
	int fd = open(s->name, flags | O_CLOEXEC | O_CREAT, 0600);

	must(s, "open", fd >= 0);
	return fd;
}

static void sync_and_close(const struct step *s, int fd)
{
	must(s, "fsync", fsync(fd) == 0);
	close(fd);
}

static void sync_path(const struct step *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	must(s, path, fd >= 0);
	sync_and_close(s, fd);
}

static void write_flags(const struct step *s, int fd, int rwf)
{
	struct iovec v = {NULL, to_of(s) - from_of(s)};
	char *p = memory(v.iov_len, s->way->fill);

	v.iov_base = p;
	must(s, "write",
	     pwritev2(fd, &v, 1, (off_t)from_of(s), rwf) == (ssize_t)(to_of(s) - from_of(s)));
	free(p);
}

static int write_file(const struct step *s, int flags)
{
	int fd = open_file(s, flags);

	write_flags(s, fd, 0);
	return fd;
}

/* In pieces, which the kernel may collect. */
static void write_pieces(const struct step *s, int fd)
{
	size_t piece = s->unit / 7 + 1;
	char *p = memory(piece, s->way->fill);

	for (size_t at = from_of(s), n; at < to_of(s); at += n) {
		n = piece < to_of(s) - at ? piece : to_of(s) - at;
		must(s, "write", pwrite(fd, p, n, (off_t)at) == (ssize_t)n);
	}
	free(p);
}

static void by_fsync(const struct step *s)
{
	sync_and_close(s, write_file(s, O_WRONLY));
}

static void by_fdatasync(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);

	write_pieces(s, fd);
	must(s, "fdatasync", fdatasync(fd) == 0);
	close(fd);
}

static void by_fsync_of_a_reader(const struct step *s)
{
	int fd = write_file(s, O_WRONLY);

	sync_path(s, s->name);
	close(fd);
}

static void by_fsync_after_close(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);

	write_pieces(s, fd);
	close(fd);
	sync_path(s, s->name);
}

static void by_fsync_of_a_reopened_path(const struct step *s)
{
	int fd = write_file(s, O_WRONLY), path = open(s->name, O_PATH | O_CLOEXEC);
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
	sync_path(s, link);
	close(path);
	close(fd);
}

static void by_o_sync(const struct step *s)
{
	close(write_file(s, O_WRONLY | O_SYNC));
}

static void by_o_dsync(const struct step *s)
{
	int fd = open_file(s, O_WRONLY | O_DSYNC);

	write_pieces(s, fd);
	close(fd);
}

static void by_rwf_sync(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);

	write_flags(s, fd, RWF_SYNC);
	close(fd);
}

static void by_rwf_dsync(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);

	write_flags(s, fd, RWF_DSYNC);
	close(fd);
}

static void direct_then_fsync(const struct step *s)
{
	sync_and_close(s, write_file(s, O_WRONLY | O_DIRECT));
}

static void direct_o_dsync(const struct step *s)
{
	close(write_file(s, O_WRONLY | O_DIRECT | O_DSYNC));
}

/* The same bytes twice: what the cache has of the first must not come behind the second. */
static void direct_over_buffered(const struct step *s)
{
	int fd = open_file(s, O_RDWR), direct = open_file(s, O_WRONLY | O_DIRECT);

	write_pieces(s, fd);
	write_flags(s, direct, 0);
	must(s, "fsync", fsync(fd) == 0);
	close(direct);
	close(fd);
}

static char *map(const struct step *s, int fd)
{
	char *p;

	if (size_of(s) > had_bytes(s))
		must(s, "ftruncate", ftruncate(fd, (off_t)size_of(s)) == 0);
	p = mmap(NULL, size_of(s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(s, "mmap", p != MAP_FAILED);
	memset(p + from_of(s), s->way->fill, to_of(s) - from_of(s));
	return p;
}

static void by_msync(const struct step *s)
{
	int fd = open_file(s, O_RDWR);
	char *p = map(s, fd);

	must(s, "msync", msync(p, size_of(s), MS_SYNC) == 0);
	munmap(p, size_of(s));
	close(fd);
}

static void mapped_then_fsync(const struct step *s)
{
	int fd = open_file(s, O_RDWR);
	char *p = map(s, fd);

	must(s, "fsync", fsync(fd) == 0);
	munmap(p, size_of(s));
	close(fd);
}

static void unmapped_then_fdatasync(const struct step *s)
{
	int fd = open_file(s, O_RDWR);

	munmap(map(s, fd), size_of(s));
	must(s, "fdatasync", fdatasync(fd) == 0);
	close(fd);
}

/* Of this nothing is promised, so it must not get in the way of what is. */
static void range_then_fsync(const struct step *s)
{
	int fd = write_file(s, O_WRONLY);

	must(s, "sync_file_range",
	     sync_file_range(fd, 0, 0,
			     SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				     SYNC_FILE_RANGE_WAIT_AFTER) == 0);
	sync_and_close(s, fd);
}

static void source(const struct step *s, int *ret_fd)
{
	size_t size = to_of(s) - from_of(s);
	char *p = memory(size, s->way->fill);

	*ret_fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	must(s, "O_TMPFILE", *ret_fd >= 0 && pwrite(*ret_fd, p, size, 0) == (ssize_t)size);
	free(p);
}

static void by_copy_file_range(const struct step *s)
{
	int fd = open_file(s, O_WRONLY), from;
	off_t in = 0, out = (off_t)from_of(s);

	source(s, &from);
	while (out < (off_t)to_of(s))
		must(s, "copy_file_range",
		     copy_file_range(from, &in, fd, &out, to_of(s) - (size_t)out, 0) > 0);
	close(from);
	sync_and_close(s, fd);
}

static void by_sendfile(const struct step *s)
{
	int fd = open_file(s, O_WRONLY), from;
	off_t at = 0, size = (off_t)(to_of(s) - from_of(s));

	source(s, &from);
	must(s, "lseek", lseek(fd, (off_t)from_of(s), SEEK_SET) >= 0);
	while (at < size)
		must(s, "sendfile", sendfile(fd, from, &at, (size_t)(size - at)) > 0);
	close(from);
	must(s, "fdatasync", fdatasync(fd) == 0);
	close(fd);
}

static void allocate(const struct step *s, int mode)
{
	int fd = open_file(s, O_WRONLY);

	if (mode & FALLOC_FL_PUNCH_HOLE && size_of(s) > had_bytes(s))
		must(s, "ftruncate", ftruncate(fd, (off_t)size_of(s)) == 0);
	must(s, "fallocate",
	     fallocate(fd, mode, (off_t)from_of(s), (off_t)(to_of(s) - from_of(s))) == 0);
	must(s, "fdatasync", fdatasync(fd) == 0);
	close(fd);
}

static void zeroed(const struct step *s)
{
	allocate(s, FALLOC_FL_ZERO_RANGE);
}

static void punched(const struct step *s)
{
	allocate(s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

static void preallocated_then_written(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);

	must(s, "fallocate",
	     fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from_of(s),
		       (off_t)(to_of(s) - from_of(s))) == 0);
	write_pieces(s, fd);
	must(s, "fdatasync", fdatasync(fd) == 0);
	close(fd);
}

/* Longer than it will be, cut, and longer again by a write: the cut must not take what was written behind it. */
static void cut_between(const struct step *s)
{
	int fd = open_file(s, O_WRONLY);
	char *p = memory(100, NEW);

	must(s, "write", pwrite(fd, p, 100, (off_t)size_of(s)) == 100);
	must(s, "ftruncate", ftruncate(fd, (off_t)had_bytes(s)) == 0);
	write_pieces(s, fd);
	free(p);
	sync_and_close(s, fd);
}

static void nameless_then_linked(const struct step *s)
{
	char link[64];
	int fd;

	source(s, &fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	must(s, "linkat", linkat(AT_FDCWD, link, AT_FDCWD, s->name, AT_SYMLINK_FOLLOW) == 0);
	sync_and_close(s, fd);
}

static void linked_in_two_folders(const struct step *s)
{
	int fd = write_file(s, O_WRONLY);

	must(s, "link", link(s->name, s->other) == 0);
	close(fd);
	sync_path(s, s->other);
}

static void created_then_fsync_of_the_folder(const struct step *s)
{
	int fd = write_file(s, O_WRONLY);

	close(fd);
	sync_path(s, s->name);
	must(s, "rename", rename(s->name, s->other) == 0 && rename(s->other, s->name) == 0);
	sync_path(s, ".");
}

static void new_file_elsewhere(const struct step *s)
{
	size_t size = size_of(s);
	char *p = memory(size, 0);
	int fd = open(s->other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	for (size_t i = 0; i < size; i++)
		p[i] = byte_at(s, i);
	must(s, "create", fd >= 0 && write(fd, p, size) == (ssize_t)size);
	close(fd);
	free(p);
}

static void exchanged(const struct step *s)
{
	new_file_elsewhere(s);
	sync_path(s, s->other);
	must(s, "exchange", renameat2(AT_FDCWD, s->other, AT_FDCWD, s->name, RENAME_EXCHANGE) == 0);
	sync_path(s, "other");
}

static void renamed_to_nothing(const struct step *s)
{
	new_file_elsewhere(s);
	must(s, "noreplace",
	     renameat2(AT_FDCWD, s->other, AT_FDCWD, s->name, RENAME_NOREPLACE) == 0);
	sync_path(s, s->name);
}

static void replaced(const struct step *s)
{
	new_file_elsewhere(s);
	sync_path(s, s->other);
	must(s, "rename", rename(s->other, s->name) == 0);
	sync_path(s, ".");
}

static void replaced_without_fsync(const struct step *s)
{
	new_file_elsewhere(s);
	must(s, "rename", rename(s->other, s->name) == 0);
}

const struct way ways[] = {
	{"fsync", by_fsync, NEW, 0},
	{"fdatasync", by_fdatasync, NEW, 0},
	{"fsync of a reader", by_fsync_of_a_reader, NEW, 0},
	{"fsync after close", by_fsync_after_close, NEW, 0},
	{"fsync of a reopened path", by_fsync_of_a_reopened_path, NEW, 0},
	{"O_SYNC", by_o_sync, NEW, 0},
	{"O_DSYNC", by_o_dsync, NEW, 0},
	{"RWF_SYNC", by_rwf_sync, NEW, 0},
	{"RWF_DSYNC", by_rwf_dsync, NEW, 0},
	{"O_DIRECT, fsync", direct_then_fsync, NEW, 0},
	{"O_DIRECT and O_DSYNC", direct_o_dsync, NEW, 0},
	{"O_DIRECT over buffered", direct_over_buffered, NEW, 0},
	{"msync", by_msync, NEW, 0},
	{"mapped, fsync", mapped_then_fsync, NEW, 0},
	{"unmapped, fdatasync", unmapped_then_fdatasync, NEW, 0},
	{"sync_file_range, fsync", range_then_fsync, NEW, 0},
	{"copy_file_range", by_copy_file_range, NEW, 0},
	{"sendfile", by_sendfile, NEW, 0},
	{"zeroed", zeroed, 0, 0},
	{"punched", punched, 0, 0},
	{"preallocated, written", preallocated_then_written, NEW, 0},
	{"cut between", cut_between, NEW, 0},
	{"nameless, linked", nameless_then_linked, NEW, NO_FILE},
	{"linked in two folders", linked_in_two_folders, NEW, BOTH},
	{"fsync of the folder", created_then_fsync_of_the_folder, NEW, NO_FILE},
	{"exchanged", exchanged, NEW, WHOLE},
	{"renamed to nothing", renamed_to_nothing, NEW, NO_FILE},
	{"replaced", replaced, NEW, WHOLE},
	{"replaced without fsync", replaced_without_fsync, NEW, WHOLE | UNPROMISED},
};

const size_t nr_ways = sizeof(ways) / sizeof(ways[0]);
