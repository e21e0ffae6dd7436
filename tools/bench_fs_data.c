/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents of files: made durable piece by piece, in bulk, and at random. */
#include "bench_fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE	    4096u
#define MIB	    (1u << 20)
#define OVERWRITTEN (16u * MIB)

static const char piece[PIECE] = "a piece";

static int open_own(const char *what, unsigned thread, int flags)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s.%u", what, thread);
	fd = open(name, flags | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0, name);
	return fd;
}

static uint64_t append_part(unsigned thread, uint64_t ms)
{
	int fd = open_own("append", thread, O_WRONLY | O_APPEND);
	uint64_t end = now_ns() + ms * 1000000, nr = 0;

	for (; now_ns() < end; nr++) {
		must(write(fd, piece, PIECE) == PIECE, "write");
		must(fsync(fd) == 0, "fsync");
	}
	close(fd);
	return nr;
}

void bench_append(unsigned nr_threads, uint64_t ms)
{
	uint64_t ns, nr = run_threads(append_part, nr_threads, ms, &ns);

	print_threads_rate("append", nr_threads, (double)nr, ns);
}

/* What editors do. */
static uint64_t replace_part(unsigned thread, uint64_t ms)
{
	uint64_t end = now_ns() + ms * 1000000, nr = 0;
	char new_name[64], name[64];

	snprintf(name, sizeof(name), "replaced.%u", thread);
	snprintf(new_name, sizeof(new_name), "new.%u", thread);
	for (; now_ns() < end; nr++) {
		int fd = open_own("new", thread, O_WRONLY | O_TRUNC);

		must(write(fd, piece, PIECE) == PIECE, "write");
		must(fsync(fd) == 0, "fsync");
		close(fd);
		must(rename(new_name, name) == 0, "rename");
	}
	return nr;
}

void bench_replace(unsigned nr_threads, uint64_t ms)
{
	uint64_t ns, nr = run_threads(replace_part, nr_threads, ms, &ns);

	print_threads_rate("replace", nr_threads, (double)nr, ns);
}

static uint64_t prepare_part(unsigned thread, uint64_t bytes)
{
	int fd = open_own("overwritten", thread, O_WRONLY);

	for (uint64_t at = 0; at < bytes; at += PIECE)
		must(write(fd, piece, PIECE) == PIECE, "write");
	must(fsync(fd) == 0, "fsync");
	close(fd);
	return bytes;
}

static uint64_t overwrite_part(unsigned thread, uint64_t ms)
{
	int fd = open_own("overwritten", thread, O_WRONLY);
	uint64_t end = now_ns() + ms * 1000000, nr = 0, random = thread + 1;

	for (; now_ns() < end; nr++) {
		off_t at = (off_t)(next_random(&random) % (OVERWRITTEN / PIECE) * PIECE);

		must(pwrite(fd, piece, PIECE, at) == PIECE, "write");
		must(fdatasync(fd) == 0, "fdatasync");
	}
	close(fd);
	return nr;
}

void bench_overwrite(unsigned nr_threads, uint64_t ms)
{
	uint64_t ns, nr;

	run_threads(prepare_part, nr_threads, OVERWRITTEN, &ns);
	nr = run_threads(overwrite_part, nr_threads, ms, &ns);
	print_threads_rate("overwrite", nr_threads, (double)nr, ns);
}

static char *make_mib(void)
{
	uint64_t random = 88172645463325252;
	char *data = malloc(MIB);

	must(data != NULL, "memory");
	for (unsigned i = 0; i < MIB; i += 8)
		memcpy(data + i, &(uint64_t){next_random(&random)}, 8);
	return data;
}

void bench_write(uint64_t mib)
{
	int fd = open("large", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	uint64_t ns = now_ns();
	char *data = make_mib();

	must(fd >= 0, "large");
	for (uint64_t i = 0; i < mib; i++)
		must(write(fd, data, MIB) == MIB, "write");
	must(fsync(fd) == 0, "fsync");
	print_rate("sequential_write", (double)mib, now_ns() - ns);
	close(fd);
	free(data);
}

void bench_read(uint64_t mib)
{
	int fd = open("large", O_RDONLY | O_CLOEXEC);
	uint64_t ns = now_ns();
	char *data = make_mib();

	must(fd >= 0, "large");
	for (uint64_t i = 0; i < mib; i++)
		must(read(fd, data, MIB) == MIB, "read");
	print_rate("sequential_read", (double)mib, now_ns() - ns);
	close(fd);
	free(data);
}

static uint64_t random_read_part(unsigned thread, uint64_t ms)
{
	int fd = open("large", O_RDONLY | O_CLOEXEC);
	uint64_t end = now_ns() + ms * 1000000, nr = 0, random = thread + 1;
	off_t size = lseek(fd, 0, SEEK_END);
	char data[PIECE];

	must(size >= PIECE, "large");
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (; now_ns() < end; nr++) {
		off_t at = (off_t)(next_random(&random) % ((uint64_t)size / PIECE) * PIECE);

		must(pread(fd, data, PIECE, at) == PIECE, "read");
	}
	close(fd);
	return nr;
}

void bench_random_read(unsigned nr_threads, uint64_t ms)
{
	uint64_t ns, nr = run_threads(random_read_part, nr_threads, ms, &ns);

	print_threads_rate("random_read", nr_threads, (double)nr, ns);
}

void bench_random_write(uint64_t nr)
{
	int fd = open("large", O_WRONLY | O_CLOEXEC);
	uint64_t ns = now_ns(), random = 1;
	off_t size = lseek(fd, 0, SEEK_END);

	must(size >= PIECE, "large");
	for (uint64_t i = 0; i < nr; i++) {
		off_t at = (off_t)(next_random(&random) % ((uint64_t)size / PIECE) * PIECE);

		must(pwrite(fd, piece, PIECE, at) == PIECE, "write");
	}
	must(fsync(fd) == 0, "fsync");
	print_rate("random_write", (double)nr, now_ns() - ns);
	close(fd);
}
