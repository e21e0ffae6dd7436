/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * promises MARKS MARKED: in the current folder, make changes durable in each way there is, and say of each, when the call has
 * returned, that it was acknowledged (recorder.c).
 * promises prepare: what has to be there before.
 * promises check: in the files that a power cut has left, print how many steps from the first on are there exactly.  It fails if a
 * later one has bytes that nobody wrote, or is neither the old nor the new file where it must be one of them.
 *
 * Each step has files of its own, numbered like it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define OLD   'o'
#define NEW   'n'
#define OTHER "other/"
#define NAME  32

/* Where a step writes, compared with what the file has. */
enum shape { ALL_NEW, WITHIN, ACROSS, BEHIND, NR_SHAPES };

struct step {
	const struct way *way;
	enum shape shape;
	size_t unit; /* of bytes: a file has one before */
	unsigned number;
	char name[NAME], other[NAME];
};

enum {
	NO_FILE = 1,	/* only where there is none before */
	WHOLE = 2,	/* it is the old or the new file, never between */
	UNPROMISED = 4, /* it ends without a sync */
	BOTH = 8,	/* the same is in other/ */
};

struct way {
	const char *name;
	void (*act)(const struct step *s);
	char fill;
	unsigned flags;
};

static void fail(const struct step *s, const char *what)
{
	fprintf(stderr, "step %u, %s, shape %d of %zu bytes: %s\n", s->number, s->way->name,
		(int)s->shape, s->unit, what);
	exit(1);
}

static void must(const struct step *s, const char *what, bool holds)
{
	if (holds)
		return;
	perror(what);
	fail(s, what);
}

static size_t had_bytes(const struct step *s)
{
	return s->shape == ALL_NEW ? 0 : s->unit;
}

static size_t from_of(const struct step *s)
{
	static const unsigned quarters[] = {
		[ALL_NEW] = 0, [WITHIN] = 1, [ACROSS] = 2, [BEHIND] = 8};

	return s->unit * quarters[s->shape] / 4;
}

static size_t to_of(const struct step *s)
{
	static const unsigned quarters[] = {
		[ALL_NEW] = 4, [WITHIN] = 3, [ACROSS] = 6, [BEHIND] = 12};

	return s->unit * quarters[s->shape] / 4;
}

static size_t size_of(const struct step *s)
{
	return to_of(s) > had_bytes(s) ? to_of(s) : had_bytes(s);
}

/* What is at i when the step is done. */
static char byte_at(const struct step *s, size_t i)
{
	if (i >= from_of(s) && i < to_of(s))
		return s->way->fill;
	return i < had_bytes(s) ? OLD : 0;
}

/* The ways */

static char *memory(size_t size, char fill)
{
	char *p = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	return memset(p, fill, size);
}

static int open_file(const struct step *s, int flags)
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

static const struct way ways[] = {
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

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* The steps */

/* Few are so large that they go past the daemon's cache: all files are looked at after each power cut. */
static size_t unit_of(size_t way, size_t shape)
{
	static const size_t units[] = {80, 6000, 20000, 270336};

	return units[(way + shape) % 4 == 3 && (way * 7 + shape) % 3 ? 2 : (way + shape) % 4];
}

static bool step_at(size_t i, struct step *s)
{
	*s = (struct step){.way = &ways[i % NR_WAYS], .shape = (enum shape)(i / NR_WAYS)};
	s->unit = unit_of(i % NR_WAYS, s->shape);
	s->number = (unsigned)i + 1;
	snprintf(s->name, NAME, "file%u", s->number);
	snprintf(s->other, NAME, OTHER "file%u", s->number);
	if (s->shape == ALL_NEW)
		return !(s->way->flags & WHOLE);
	return !(s->way->flags & NO_FILE);
}

static void prepare(void)
{
	struct step s;

	if (mkdir("other", 0700) < 0)
		exit(1);
	for (size_t i = 0; i < NR_WAYS * NR_SHAPES; i++) {
		char *p;
		int fd;

		if (!step_at(i, &s) || s.shape == ALL_NEW)
			continue;
		p = memory(s.unit, OLD);
		fd = open_file(&s, O_WRONLY);
		must(&s, "write", write(fd, p, s.unit) == (ssize_t)s.unit);
		close(fd);
		free(p);
	}
}

static void mark(const struct step *s, const char *marks, const char *marked)
{
	char answer[16] = "";
	FILE *f = fopen(marks, "we");

	must(s, marks, f != NULL);
	fprintf(f, "%u\n", s->number);
	fclose(f);
	f = fopen(marked, "re");
	must(s, marked, f && fgets(answer, sizeof(answer), f) && !strcmp(answer, "marked\n"));
	fclose(f);
}

static void run(const char *marks, const char *marked)
{
	struct step s;

	for (size_t i = 0; i < NR_WAYS * NR_SHAPES; i++) {
		if (!step_at(i, &s))
			continue;
		s.way->act(&s);
		if (!(s.way->flags & UNPROMISED))
			mark(&s, marks, marked);
	}
}

/* Looking at what a power cut has left */

/* Where a file of this size must have it. */
static bool may_be(const struct step *s, size_t i, char c)
{
	if (c == byte_at(s, i))
		return true;
	return c == (i < had_bytes(s) ? OLD : 0);
}

/* Is it as it is at the end?  It fails if it is as it never was. */
static bool is_done(const struct step *s, const char *path)
{
	/* one that was cut between had 100 bytes more before */
	static char data[4 * 270336];
	size_t nr_old = 0, nr_new = 0, size, most = size_of(s);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		if (had_bytes(s))
			fail(s, "the file is gone");
		return false;
	}
	n = read(fd, data, sizeof(data));
	close(fd);
	must(s, "read", n >= 0);
	size = (size_t)n;
	for (size_t i = 0; i < size && i < most; i++) {
		nr_new += data[i] == byte_at(s, i);
		nr_old += i < had_bytes(s) && data[i] == OLD;
		if (!may_be(s, i, data[i]))
			fail(s, "it has bytes that nobody wrote there");
	}
	if (size < had_bytes(s) || size > most + 100)
		fail(s, "it has a size that it never had");
	if (size == most && nr_new == most)
		return true;
	if (s->way->flags & WHOLE && (size != had_bytes(s) || nr_old != size))
		fail(s, "it is neither the old nor the new file");
	return false;
}

static void check(void)
{
	unsigned found = 0;
	bool all = true;
	struct step s;

	for (size_t i = 0; i < NR_WAYS * NR_SHAPES; i++) {
		if (!step_at(i, &s))
			continue;
		all &= is_done(&s, s.name) || s.way->flags & UNPROMISED;
		if (s.way->flags & BOTH)
			all &= access(s.other, F_OK) == 0 && is_done(&s, s.other);
		if (all)
			found = s.number;
	}
	printf("%u\n", found);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "prepare"))
		prepare();
	else if (argc == 2 && !strcmp(argv[1], "check"))
		check();
	else if (argc == 3)
		run(argv[1], argv[2]);
	else
		return 2;
	return 0;
}
