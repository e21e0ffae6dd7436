/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect at the edges: limits, bad memory, wrong descriptors, mappings of what is being written. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK 4096
#define LIMIT 10000

static void assert_bytes(int fd, off_t from, off_t to, char letter)
{
	char byte;

	for (off_t at = from; at < to; at++) {
		ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
		ck_assert_int_eq(byte, letter);
	}
}

static void limit_sizes(rlim_t most)
{
	const struct rlimit limit = {most, RLIM_INFINITY};

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static volatile sig_atomic_t told;

static void tell(int number)
{
	told++;
}

START_TEST(no_file_grows_beyond_the_limit_of_its_writer)
{
	char data[2 * LIMIT] = {0};
	int fd = make_file("file", 0644), to = make_file("copy", 0644);
	off_t in = 0, out = LIMIT - 10;

	signal(SIGXFSZ, tell);
	limit_sizes(LIMIT);
	ck_assert_int_eq(write(fd, data, sizeof(data)), LIMIT);
	ck_assert_int_eq(told, 0);
	ck_assert(refused((int)write(fd, data, 1), EFBIG));
	ck_assert_int_eq(told, 1);
	ck_assert(refused((int)pwrite(fd, data, 1, 2 * LIMIT), EFBIG));
	ck_assert_int_eq(told, 2);
	ck_assert(refused(ftruncate(fd, LIMIT + 1), EFBIG));
	ck_assert_int_eq(told, 3);
	ck_assert(refused(fallocate(fd, 0, 0, LIMIT + 1), EFBIG));
	ck_assert_int_eq(copy_file_range(fd, &in, to, &out, 100, 0), 10);
	limit_sizes(RLIM_INFINITY);
	ck_assert_int_eq(size_of(fd), LIMIT);
	ck_assert_int_eq(size_of(to), LIMIT);
	ck_assert_int_eq(ftruncate(fd, LIMIT + 1), 0);
	close(to);
	close(fd);
}
END_TEST

START_TEST(bad_memory_ends_a_write_and_changes_nothing_behind)
{
	char *m = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec parts[2] = {{m, 100}, {m + BLOCK, 100}};
	int fd = make_file("file", 0644);

	ck_assert_ptr_ne(m, MAP_FAILED);
	ck_assert_int_eq(munmap(m + BLOCK, BLOCK), 0);
	memset(m, 'm', BLOCK);
	ck_assert(refused((int)write(fd, m + BLOCK, 100), EFAULT));
	ck_assert_int_eq(size_of(fd), 0);
	ck_assert_int_eq(write(fd, m + BLOCK - 96, 200), 96);
	ck_assert_int_eq(size_of(fd), 96);
	ck_assert_int_eq(writev(fd, parts, 2), 100);
	ck_assert_int_eq(size_of(fd), 196);
	assert_bytes(fd, 0, 196, 'm');
	ck_assert(refused((int)pread(fd, m + BLOCK, 10, 0), EFAULT));
	ck_assert_int_eq(pread(fd, m + BLOCK - 6, 20, 0), 6);
	ck_assert(refused(open(m + BLOCK, O_RDONLY), EFAULT));
	ck_assert(refused(stat("file", (struct stat *)(m + BLOCK)), EFAULT));
	munmap(m, BLOCK);
	close(fd);
}
END_TEST

START_TEST(the_last_offsets_are_no_place)
{
	char data[10] = {0};
	int fd = make_file("file", 0644);

	ck_assert(refused((int)pread(fd, data, 10, LLONG_MAX), EINVAL));
	ck_assert_int_eq(pread(fd, data, 10, LLONG_MAX - 10), 0);
	ck_assert(refused((int)pwrite(fd, data, 10, LLONG_MAX - 9), EINVAL));
	ck_assert(refused((int)pread(fd, data, 10, -1), EINVAL));
	ck_assert(refused(ftruncate(fd, -1), EINVAL));
	ck_assert(refused(ftruncate(fd, LLONG_MIN), EINVAL));
	ck_assert(refused(fallocate(fd, 0, LLONG_MAX, 10), EFBIG));
	ck_assert(refused(fallocate(fd, 0, -1, 10), EINVAL));
	ck_assert_int_eq(pwrite(fd, data, 0, (off_t)1 << 40), 0);
	ck_assert_int_eq(size_of(fd), 0);
	close(fd);
}
END_TEST

START_TEST(descriptors_allow_what_they_were_opened_for)
{
	int file = make_file("file", 0644), r = open("file", O_RDONLY), w = open("file", O_WRONLY);
	int append = open("file", O_WRONLY | O_APPEND), dir = open(".", O_RDONLY);
	off_t at = 0;
	char byte = 0;

	ck_assert_int_eq(write(file, "12345", 5), 5);
	ck_assert(refused((int)pwrite(r, &byte, 1, 0), EBADF));
	ck_assert(refused((int)pread(w, &byte, 1, 0), EBADF));
	ck_assert(refused(ftruncate(r, 1), EINVAL));
	ck_assert(refused(fallocate(r, 0, 0, 10), EBADF));
	ck_assert(refused((int)read(dir, &byte, 1), EISDIR));
	ck_assert(refused(ftruncate(dir, 1), EINVAL));
	ck_assert(refused((int)copy_file_range(r, &at, r, NULL, 1, 0), EBADF));
	ck_assert(refused((int)copy_file_range(w, &at, w, NULL, 1, 0), EBADF));
	ck_assert(refused((int)copy_file_range(r, &at, append, NULL, 1, 0), EBADF));
	ck_assert(refused((int)copy_file_range(r, &at, dir, NULL, 1, 0), EISDIR));
	ck_assert(refused((int)copy_file_range(dir, NULL, w, NULL, 1, 0), EISDIR));
	ck_assert(refused((int)copy_file_range(r, &at, w, NULL, 1, 1), EINVAL));
	at = LLONG_MAX;
	ck_assert_int_eq(copy_file_range(r, &at, w, NULL, 1, 0), 0);
	ck_assert_int_eq(size_of(file), 5);
	close(dir);
	close(append);
	close(w);
	close(r);
	close(file);
}
END_TEST

/* What has no rights for anybody is open all the same for who has made it. */
START_TEST(a_file_that_nobody_may_open_can_be_written_by_its_maker)
{
	int fd = make_file("file", 0);

	ck_assert_int_eq(write(fd, "12345", 5), 5);
	ck_assert_int_eq(ftruncate(fd, 3), 0);
	ck_assert_int_eq(posix_fallocate(fd, 0, 100), 0);
	ck_assert_int_eq(size_of(fd), 100);
	close(fd);
}
END_TEST

START_TEST(direct_appends_go_to_the_end)
{
	int fd = open("file", O_CREAT | O_RDWR | O_APPEND | O_DIRECT, 0644);
	char *block = aligned_alloc(BLOCK, BLOCK);

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 3; i++) {
		memset(block, 'a' + i, BLOCK);
		ck_assert_int_eq(pwrite(fd, block, BLOCK, 0), BLOCK);
	}
	ck_assert_int_eq(size_of(fd), 3 * BLOCK);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pread(fd, block, BLOCK, i * BLOCK), BLOCK);
		ck_assert_int_eq(block[17], 'a' + i);
	}
	free(block);
	close(fd);
}
END_TEST

static char *map_file(int fd, size_t size)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(map, MAP_FAILED);
	return map;
}

/* The page that is written is the page that is read, and may not be there yet: this must not wait for itself. */
START_TEST(a_file_is_written_from_its_own_mapping)
{
	int fd = make_file("file", 0644), direct = open("file", O_RDWR | O_DIRECT);
	char *map;

	ck_assert_int_eq(ftruncate(fd, 16 * BLOCK), 0);
	ck_assert_int_eq(pwrite(fd, "0123456789", 10, 0), 10);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	map = map_file(fd, 16 * BLOCK);
	ck_assert_int_eq(pwrite(fd, map, BLOCK, 0), BLOCK);
	ck_assert_int_eq(pwrite(fd, map, 3 * BLOCK, 8 * BLOCK), 3 * BLOCK);
	ck_assert_int_eq(pread(fd, map + 4 * BLOCK, 100, 8 * BLOCK), 100);
	ck_assert_mem_eq(map + 4 * BLOCK, "0123456789", 11);
	ck_assert_int_eq(pwrite(direct, map, 2 * BLOCK, 6 * BLOCK), 2 * BLOCK);
	ck_assert_mem_eq(map + 6 * BLOCK, "0123456789", 11);
	ck_assert_int_eq(pread(direct, map + 10 * BLOCK, BLOCK, 6 * BLOCK), BLOCK);
	ck_assert_mem_eq(map + 10 * BLOCK, "0123456789", 11);
	munmap(map, 16 * BLOCK);
	close(direct);
	close(fd);
}
END_TEST

/* What was stored in the last page before the cut, and what lies behind the new end, is not seen when it grows again. */
START_TEST(what_a_mapping_held_behind_a_cut_is_gone)
{
	int fd = make_file("file", 0644);
	char *map, data[5 * BLOCK];

	memset(data, 'x', sizeof(data));
	ck_assert_int_eq(write(fd, data, 2 * BLOCK), 2 * BLOCK);
	map = map_file(fd, 2 * BLOCK);
	memset(map, 'z', 2 * BLOCK);
	ck_assert_int_eq(ftruncate(fd, 1000), 0);
	ck_assert_int_eq(ftruncate(fd, 2 * BLOCK), 0);
	ck_assert_int_eq(map[999], 'z');
	ck_assert_int_eq(map[1000], 0);
	ck_assert_int_eq(map[BLOCK], 0);
	memset(map + 1000, 'y', 500);
	ck_assert_int_eq(ftruncate(fd, 1200), 0);
	ck_assert_int_eq(pwrite(fd, data, BLOCK, 3 * BLOCK), BLOCK);
	munmap(map, 2 * BLOCK);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_bytes(fd, 0, 1000, 'z');
	assert_bytes(fd, 1000, 1200, 'y');
	assert_bytes(fd, 1200, 3 * BLOCK, 0);
	assert_bytes(fd, 3 * BLOCK, 4 * BLOCK, 'x');
	close(fd);
}
END_TEST

START_TEST(a_store_through_a_mapping_is_a_change)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	int fd = make_file("file", 0644);
	struct stat st;
	char *map;

	ck_assert_int_eq(ftruncate(fd, 2 * BLOCK), 0);
	map = map_file(fd, 2 * BLOCK);
	ck_assert_int_eq(futimens(fd, old), 0);
	map[5] = 's';
	ck_assert_int_eq(msync(map, 2 * BLOCK, MS_SYNC), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1000);
	ck_assert_int_eq(st.st_blocks, 8);
	ck_assert_int_eq(futimens(fd, old), 0);
	map[BLOCK] = 's';
	munmap(map, 2 * BLOCK);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1000);
	ck_assert_int_eq(st.st_blocks, 16);
	close(fd);
}
END_TEST

START_TEST(pages_go_through_a_pipe)
{
	int from = make_file("from", 0644), to = make_file("to", 0644), ends[2];
	char data[3 * BLOCK];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i / 7);
	ck_assert_int_eq(write(from, data, sizeof(data)), (ssize_t)sizeof(data));
	ck_assert_int_eq(pipe(ends), 0);
	for (loff_t in = 5, out = 100; in < (loff_t)sizeof(data);) {
		ssize_t n = splice(from, &in, ends[1], NULL, BLOCK, 0);

		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(splice(ends[0], NULL, to, &out, (size_t)n, SPLICE_F_MOVE), n);
	}
	ck_assert_int_eq(size_of(to), 100 + 3 * BLOCK - 5);
	memset(data, 0, 5);
	for (off_t at = 5; at < 3 * BLOCK; at++)
		assert_bytes(to, at + 95, at + 96, (char)(at / 7));
	close(ends[0]);
	close(ends[1]);
	close(to);
	close(from);
}
END_TEST

START_TEST(times_out_of_range_become_the_first_and_the_last)
{
	static const struct timespec wild[2] = {{INT64_MIN, 999999999}, {INT64_MAX, 5}};
	struct stat st;

	close(make_file("file", 0644));
	ck_assert_int_eq(utimensat(AT_FDCWD, "file", wild, 0), 0);
	ck_assert_int_eq(stat("file", &st), 0);
	ck_assert_int_eq(st.st_atim.tv_sec, INT32_MIN);
	ck_assert_int_eq(st.st_mtim.tv_sec, INT32_MIN + INT64_C(4) * UINT32_MAX + 3);
}
END_TEST

TCase *edges_case(void)
{
	TCase *c = tcase_create("edges");

	tcase_add_test(c, no_file_grows_beyond_the_limit_of_its_writer);
	tcase_add_test(c, bad_memory_ends_a_write_and_changes_nothing_behind);
	tcase_add_test(c, the_last_offsets_are_no_place);
	tcase_add_test(c, descriptors_allow_what_they_were_opened_for);
	tcase_add_test(c, a_file_that_nobody_may_open_can_be_written_by_its_maker);
	tcase_add_test(c, direct_appends_go_to_the_end);
	tcase_add_test(c, a_file_is_written_from_its_own_mapping);
	tcase_add_test(c, what_a_mapping_held_behind_a_cut_is_gone);
	tcase_add_test(c, a_store_through_a_mapping_is_a_change);
	tcase_add_test(c, pages_go_through_a_pipe);
	tcase_add_test(c, times_out_of_range_become_the_first_and_the_last);
	return c;
}
