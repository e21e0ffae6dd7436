/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls on the bytes of a file. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct range {
	uint64_t from, bytes;
};

/* Mostly small and anywhere, sometimes large, sometimes whole blocks. */
static struct range some_range(struct fuzz *f)
{
	struct range r = {.from = fuzz_random(f, FUZZ_BYTES)};

	switch (fuzz_random(f, 4)) {
	case 0:
		r.bytes = 1 + fuzz_random(f, 200);
		break;
	case 1:
		r.from = fuzz_random(f, 300);
		r.bytes = 1 + fuzz_random(f, 300);
		break;
	case 2:
		r.from -= r.from % FUZZ_BLOCK;
		r.bytes = FUZZ_BLOCK * (1 + fuzz_random(f, 8));
		break;
	default:
		r.bytes = 1 + fuzz_random(f, FUZZ_BYTES / 2);
	}
	r.bytes = MIN(r.bytes, FUZZ_BYTES - r.from);
	return r;
}

static void mark(struct fuzz_file *file, struct range r, enum fuzz_block as)
{
	for (uint64_t b = r.from / FUZZ_BLOCK; b * FUZZ_BLOCK < r.from + r.bytes; b++)
		file->block[b] = as;
}

/* Blocks that lie in the range as a whole are this now; the ones at its ends may be anything, unless they were data. */
static void mark_inner(struct fuzz_file *file, struct range r, enum fuzz_block as)
{
	for (uint64_t b = r.from / FUZZ_BLOCK; b * FUZZ_BLOCK < r.from + r.bytes; b++) {
		bool whole = b * FUZZ_BLOCK >= r.from && (b + 1) * FUZZ_BLOCK <= r.from + r.bytes;

		if (whole)
			file->block[b] = as;
		else if (file->block[b] == BLOCK_HOLE)
			file->block[b] = BLOCK_EITHER;
	}
}

static void fill(struct fuzz *f, uint8_t *data, uint64_t bytes)
{
	uint64_t x = fuzz_random(f, UINT64_MAX);

	for (uint64_t i = 0; i < bytes; i++) {
		if (i % 8 == 0)
			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		data[i] = (uint8_t)(x >> (i % 8 * 8)) | 1; /* never what a hole reads as */
	}
}

static void grow(struct fuzz_file *file, uint64_t end)
{
	if (file->size < end)
		file->size = end;
}

static void do_write(struct fuzz *f, struct fuzz_file *file)
{
	struct range r = some_range(f);

	fuzz_say(f, "pwrite(%lu, %lu)", r.from, r.bytes);
	fill(f, file->data + r.from, r.bytes);
	fuzz_expect(f,
		    pwrite(file->fd, file->data + r.from, r.bytes, (off_t)r.from) - (long)r.bytes,
		    0);
	mark(file, r, BLOCK_DATA);
	grow(file, r.from + r.bytes);
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

static void do_append(struct fuzz *f, struct fuzz_file *file)
{
	struct range r = {.from = file->size, .bytes = 1 + fuzz_random(f, 9000)};
	int flags = fcntl(file->fd, F_GETFL);

	r.bytes = MIN(r.bytes, FUZZ_BYTES - r.from);
	fuzz_say(f, "append(%lu)", r.bytes);
	fuzz_expect(f, fcntl(file->fd, F_SETFL, flags | O_APPEND), 0);
	fill(f, file->data + r.from, r.bytes);
	fuzz_expect(f, write(file->fd, file->data + r.from, r.bytes) - (long)r.bytes, 0);
	fuzz_expect(f, fcntl(file->fd, F_SETFL, flags), 0);
	if (r.bytes)
		mark(file, r, BLOCK_DATA);
	grow(file, r.from + r.bytes);
	fuzz_check_stat(f, file, r.bytes ? CHANGED_BOTH : CHANGED_NOTHING);
}

/* In whole blocks, from memory that is aligned as well. */
static void do_direct_write(struct fuzz *f, struct fuzz_file *file)
{
	struct range r = {.from = fuzz_random(f, FUZZ_BYTES / FUZZ_BLOCK - 8) * FUZZ_BLOCK};
	int flags = fcntl(file->fd, F_GETFL);
	uint8_t *aligned;

	r.bytes = (1 + fuzz_random(f, 8)) * FUZZ_BLOCK;
	fuzz_say(f, "direct write(%lu, %lu)", r.from, r.bytes);
	aligned = aligned_alloc(FUZZ_BLOCK, r.bytes);
	if (!aligned || fcntl(file->fd, F_SETFL, flags | O_DIRECT) < 0)
		fuzz_differs(f, "O_DIRECT");
	fill(f, file->data + r.from, r.bytes);
	memcpy(aligned, file->data + r.from, r.bytes);
	fuzz_expect(f, pwrite(file->fd, aligned, r.bytes, (off_t)r.from) - (long)r.bytes, 0);
	fuzz_expect(f, fcntl(file->fd, F_SETFL, flags), 0);
	free(aligned);
	mark(file, r, BLOCK_DATA);
	grow(file, r.from + r.bytes);
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

static void do_direct_read(struct fuzz *f, struct fuzz_file *file)
{
	uint64_t from = fuzz_random(f, FUZZ_BYTES / FUZZ_BLOCK) * FUZZ_BLOCK,
		 bytes = 8 * FUZZ_BLOCK;
	uint64_t there = file->size > from ? MIN(file->size - from, bytes) : 0;
	int flags = fcntl(file->fd, F_GETFL);
	uint8_t *aligned = aligned_alloc(FUZZ_BLOCK, bytes);

	fuzz_say(f, "direct read(%lu, %lu)", from, bytes);
	if (!aligned || fcntl(file->fd, F_SETFL, flags | O_DIRECT) < 0)
		fuzz_differs(f, "O_DIRECT");
	fuzz_expect(f, pread(file->fd, aligned, bytes, (off_t)from) - (long)there, 0);
	if (memcmp(aligned, file->data + from, there) != 0)
		fuzz_differs(f, "direct read: other bytes");
	fuzz_expect(f, fcntl(file->fd, F_SETFL, flags), 0);
	free(aligned);
}

static void do_map(struct fuzz *f, struct fuzz_file *file)
{
	struct range r = some_range(f);
	uint8_t *map;

	if (r.from >= file->size)
		return;
	r.bytes = MIN(r.bytes, file->size - r.from);
	fuzz_say(f, "write to a map(%lu, %lu)", r.from, r.bytes);
	map = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (map == MAP_FAILED)
		fuzz_differs(f, "mmap: %s", strerror(errno));
	if (memcmp(map + r.from, file->data + r.from, r.bytes) != 0)
		fuzz_differs(f, "map: other bytes");
	fill(f, file->data + r.from, r.bytes);
	memcpy(map + r.from, file->data + r.from, r.bytes);
	/* when the times change is the kernel's business until it has been synced */
	fuzz_expect(f, msync(map, file->size, MS_SYNC), 0);
	fuzz_expect(f, munmap(map, file->size), 0);
	mark(file, r, BLOCK_DATA);
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

static void do_truncate(struct fuzz *f, struct fuzz_file *file)
{
	uint64_t size = fuzz_random(f, 3) ? fuzz_random(f, FUZZ_BYTES) : fuzz_random(f, 300);
	uint64_t first = (size + FUZZ_BLOCK - 1) / FUZZ_BLOCK;

	fuzz_say(f, "ftruncate(%lu)", size);
	fuzz_expect(f, ftruncate(file->fd, (off_t)size), 0);
	if (size < file->size)
		memset(file->data + size, 0, file->size - size);
	memset(file->block + first, BLOCK_HOLE, FUZZ_BYTES / FUZZ_BLOCK - first);
	file->size = size;
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

static void do_fallocate(struct fuzz *f, struct fuzz_file *file)
{
	static const struct {
		int mode;
		bool zeroes, grows;
	} way[] = {
		{0, false, true},
		{FALLOC_FL_KEEP_SIZE, false, false},
		{FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true, false},
		{FALLOC_FL_ZERO_RANGE, true, true},
		{FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true, false},
	};
	unsigned i = (unsigned)fuzz_random(f, sizeof(way) / sizeof(way[0]));
	struct range r = some_range(f);

	fuzz_say(f, "fallocate(%#x, %lu, %lu)", (unsigned)way[i].mode, r.from, r.bytes);
	fuzz_expect(f, fallocate(file->fd, way[i].mode, (off_t)r.from, (off_t)r.bytes), 0);
	if (way[i].zeroes) {
		memset(file->data + r.from, 0, r.bytes);
		mark_inner(file, r, BLOCK_HOLE);
	}
	if (way[i].grows)
		grow(file, r.from + r.bytes);
	fuzz_check_stat(f, file, CHANGED_BOTH);
}

/* Within one file or from another; holes may stay holes. */
static void do_copy(struct fuzz *f, struct fuzz_file *to)
{
	struct fuzz_file *from = &f->file[fuzz_random(f, FUZZ_FILES)];
	struct range r = some_range(f), there = r;
	off_t off_in, off_out;
	ssize_t n;

	if (!from->used || from->size == 0)
		return;
	fuzz_open(f, from);
	r.from = fuzz_random(f, from->size);
	r.bytes = MIN(MIN(r.bytes, from->size - r.from), FUZZ_BYTES - there.from);
	off_in = (off_t)r.from;
	off_out = (off_t)there.from;
	fuzz_say(f, "copy_file_range(%lu -> %lu, %lu)%s", r.from, there.from, r.bytes,
		 from == to ? " in itself" : "");
	n = copy_file_range(from->fd, &off_in, to->fd, &off_out, r.bytes, 0);
	if (from == to && r.from < there.from + r.bytes && there.from < r.from + r.bytes) {
		fuzz_expect(f, n, EINVAL);
		return;
	}
	if (n <= 0 || (uint64_t)n > r.bytes)
		fuzz_differs(f, "copied %zd: %s", n, strerror(errno));
	there.bytes = (uint64_t)n;
	memmove(to->data + there.from, from->data + r.from, there.bytes);
	mark(to, there, BLOCK_EITHER);
	grow(to, there.from + there.bytes);
	fuzz_check_stat(f, to, CHANGED_BOTH);
}

static void do_read(struct fuzz *f, struct fuzz_file *file)
{
	struct range r = some_range(f);
	uint64_t there = file->size > r.from ? MIN(file->size - r.from, r.bytes) : 0;
	uint8_t *data = malloc(r.bytes);

	fuzz_say(f, "pread(%lu, %lu)", r.from, r.bytes);
	if (!data)
		fuzz_differs(f, "no memory");
	fuzz_expect(f, pread(file->fd, data, r.bytes, (off_t)r.from) - (long)there, 0);
	if (memcmp(data, file->data + r.from, there) != 0)
		fuzz_differs(f, "read: other bytes");
	free(data);
	fuzz_check_stat(f, file, CHANGED_NOTHING);
}

static void do_sync(struct fuzz *f, struct fuzz_file *file)
{
	bool data = fuzz_random(f, 2);

	fuzz_say(f, data ? "fdatasync" : "fsync");
	fuzz_expect(f, data ? fdatasync(file->fd) : fsync(file->fd), 0);
	fuzz_check_stat(f, file, CHANGED_NOTHING);
}

/* The kernel forgets what it has read: the next read comes to us. */
static void do_forget_pages(struct fuzz *f, struct fuzz_file *file)
{
	fuzz_say(f, "posix_fadvise(DONTNEED)");
	fuzz_expect(f, posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

void fuzz_bytes(struct fuzz *f, struct fuzz_file *file)
{
	static void (*const call[])(struct fuzz *, struct fuzz_file *) = {
		do_write,	do_write, do_write,    do_append,    do_direct_write,
		do_direct_read, do_map,	  do_truncate, do_fallocate, do_copy,
		do_read,	do_read,  do_sync,     do_fallocate, do_forget_pages,
	};

	fuzz_open(f, file);
	call[fuzz_random(f, sizeof(call) / sizeof(call[0]))](f, file);
}
