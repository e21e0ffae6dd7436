/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect of the blocks that a file has and has not. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK	  4096
#define PUNCH	  (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_KEEP (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

static blkcnt_t blocks_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_blocks * 512 / BLOCK;
}

static int make_letters(const char *name, size_t size)
{
	char *data = malloc(size);
	int fd = make_file(name, 0644);

	memset(data, 'a', size);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	free(data);
	return fd;
}

static void assert_bytes(int fd, off_t from, off_t to, char letter)
{
	size_t size = (size_t)(to - from);
	char *data = malloc(size);

	ck_assert_int_eq(pread(fd, data, size, from), to - from);
	for (size_t n = 0; n < size; n++)
		ck_assert_int_eq(data[n], letter);
	free(data);
}

START_TEST(posix_fallocate_makes_a_file_of_zeros)
{
	int fd = make_file("f", 0644);

	ck_assert_int_eq(posix_fallocate(fd, 0, 100 * BLOCK), 0);
	ck_assert_int_eq(size_of(fd), 100 * BLOCK);
	ck_assert_int_eq(blocks_of(fd), 100);
	assert_bytes(fd, 0, 100 * BLOCK, 0);
	/* nothing to do */
	ck_assert_int_eq(posix_fallocate(fd, 10, 5 * BLOCK), 0);
	ck_assert_int_eq(size_of(fd), 100 * BLOCK);
	ck_assert_int_eq(posix_fallocate(fd, 0, 0), EINVAL);
	ck_assert_int_eq(posix_fallocate(fd, -1, 1), EINVAL);
	ck_assert_int_eq(posix_fallocate(fd, LLONG_MAX - 1, 2), EFBIG);
	close(fd);
}
END_TEST

START_TEST(kept_size_does_not_grow_and_truncate_gives_back)
{
	int fd = make_letters("f", 100);

	ck_assert_int_eq(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 50 * BLOCK), 0);
	ck_assert_int_eq(size_of(fd), 100);
	ck_assert_int_eq(blocks_of(fd), 50);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(blocks_of(fd), 1);
	assert_bytes(fd, 0, 100, 'a');
	close(fd);
}
END_TEST

START_TEST(what_is_kept_behind_the_end_stays_when_the_file_grows)
{
	int fd = make_letters("f", 5 * BLOCK);

	ck_assert_int_eq(fallocate(fd, FALLOC_FL_KEEP_SIZE, 5 * BLOCK, 5 * BLOCK), 0);
	ck_assert_int_eq(ftruncate(fd, 7 * BLOCK), 0);
	ck_assert_int_eq(blocks_of(fd), 10);
	assert_bytes(fd, 5 * BLOCK, 7 * BLOCK, 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 12 * BLOCK), 1);
	ck_assert_int_eq(blocks_of(fd), 11);
	assert_bytes(fd, 5 * BLOCK, 12 * BLOCK, 0);
	close(fd);
}
END_TEST

START_TEST(punching_takes_blocks_and_leaves_zeros)
{
	int fd = make_letters("f", 20 * BLOCK);

	assert_bytes(fd, 0, 20 * BLOCK, 'a');
	ck_assert_int_eq(fallocate(fd, PUNCH, 3 * BLOCK - 10, 5 * BLOCK + 20), 0);
	ck_assert_int_eq(blocks_of(fd), 15);
	ck_assert_int_eq(size_of(fd), 20 * BLOCK);
	assert_bytes(fd, 0, 3 * BLOCK - 10, 'a');
	assert_bytes(fd, 3 * BLOCK - 10, 8 * BLOCK + 10, 0);
	assert_bytes(fd, 8 * BLOCK + 10, 20 * BLOCK, 'a');
	close(fd);
}
END_TEST

START_TEST(zeroing_keeps_the_blocks)
{
	int fd = make_letters("f", 20 * BLOCK);

	ck_assert_int_eq(fallocate(fd, ZERO_KEEP, BLOCK + 1, 10 * BLOCK), 0);
	ck_assert_int_eq(blocks_of(fd), 20);
	assert_bytes(fd, 0, BLOCK + 1, 'a');
	assert_bytes(fd, BLOCK + 1, 11 * BLOCK + 1, 0);
	assert_bytes(fd, 11 * BLOCK + 1, 20 * BLOCK, 'a');
	ck_assert_int_eq(fallocate(fd, ZERO_KEEP, 19 * BLOCK, 10 * BLOCK), 0);
	ck_assert_int_eq(size_of(fd), 20 * BLOCK);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_ZERO_RANGE, 19 * BLOCK, 10 * BLOCK), 0);
	ck_assert_int_eq(size_of(fd), 29 * BLOCK);
	assert_bytes(fd, 19 * BLOCK, 29 * BLOCK, 0);
	close(fd);
}
END_TEST

START_TEST(what_has_no_room_is_not_begun)
{
	int fd = make_letters("f", 100);
	struct statvfs before, after;

	ck_assert_int_eq(statvfs(".", &before), 0);
	ck_assert_int_eq(fallocate(fd, 0, 0, (off_t)1 << 40), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(size_of(fd), 100);
	ck_assert_int_eq(statvfs(".", &after), 0);
	ck_assert_uint_eq(before.f_bfree, after.f_bfree);
	ck_assert_int_eq(fallocate(fd, PUNCH, 0, (off_t)1 << 40), 0);
	assert_bytes(fd, 0, 100, 0);
	close(fd);
}
END_TEST

START_TEST(ranges_cannot_be_inserted_nor_collapsed)
{
	int fd = make_letters("f", 20 * BLOCK);

	ck_assert_int_eq(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, BLOCK), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	assert_bytes(fd, 0, 20 * BLOCK, 'a');
	close(fd);
}
END_TEST

START_TEST(holes_and_data_can_be_found)
{
	int fd = make_file("f", 0644);

	ck_assert_int_eq(lseek(fd, 0, SEEK_DATA), -1);
	ck_assert_int_eq(errno, ENXIO);
	ck_assert_int_eq(pwrite(fd, "x", 1, 10 * BLOCK), 1);
	ck_assert_int_eq(fallocate(fd, 0, 20 * BLOCK, BLOCK), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 30 * BLOCK + 5), 1);
	ck_assert_int_eq(lseek(fd, 0, SEEK_DATA), 10 * BLOCK);
	ck_assert_int_eq(lseek(fd, 10 * BLOCK + 7, SEEK_DATA), 10 * BLOCK + 7);
	ck_assert_int_eq(lseek(fd, 10 * BLOCK, SEEK_HOLE), 11 * BLOCK);
	ck_assert_int_eq(lseek(fd, 11 * BLOCK, SEEK_DATA), 30 * BLOCK);
	ck_assert_int_eq(lseek(fd, 20 * BLOCK, SEEK_HOLE), 20 * BLOCK);
	ck_assert_int_eq(lseek(fd, 30 * BLOCK, SEEK_HOLE), 30 * BLOCK + 6);
	ck_assert_int_eq(lseek(fd, 30 * BLOCK + 6, SEEK_HOLE), -1);
	ck_assert_int_eq(errno, ENXIO);
	ck_assert_int_eq(lseek(fd, -1, SEEK_DATA), -1);
	ck_assert_int_eq(errno, ENXIO);
	/* a failure moves nothing */
	ck_assert_int_eq(lseek(fd, 100, SEEK_SET), 100);
	ck_assert_int_eq(lseek(fd, 31 * BLOCK, SEEK_DATA), -1);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 100);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 30 * BLOCK + 6);
	close(fd);
}
END_TEST

START_TEST(ranges_are_copied_with_their_holes)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	int from = make_file("from", 0644), to = make_letters("to", 50 * BLOCK);
	off_t a = 0, b = 0;
	struct stat st;

	ck_assert_int_eq(pwrite(from, "data", 4, 10 * BLOCK), 4);
	ck_assert_int_eq(ftruncate(from, 40 * BLOCK), 0);
	/* the pages are in the kernel's cache too */
	assert_bytes(to, 0, 50 * BLOCK, 'a');
	ck_assert_int_eq(futimens(to, old), 0);
	ck_assert_int_eq(copy_file_range(from, &a, to, &b, 60 * BLOCK, 0), 40 * BLOCK);
	ck_assert_int_eq(a, 40 * BLOCK);
	ck_assert_int_eq(b, 40 * BLOCK);
	ck_assert_int_eq(copy_file_range(from, &a, to, &b, 1, 0), 0);
	assert_bytes(to, 0, 10 * BLOCK, 0);
	assert_bytes(to, 10 * BLOCK + 4, 40 * BLOCK, 0);
	assert_bytes(to, 40 * BLOCK, 50 * BLOCK, 'a');
	ck_assert_int_eq(blocks_of(to), 11);
	ck_assert_int_eq(fstat(to, &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1000);
	ck_assert_int_gt(st.st_ctim.tv_sec, 1000);
	/* within one file: apart, but not over itself */
	a = 10 * BLOCK, b = 60 * BLOCK;
	ck_assert_int_eq(copy_file_range(to, &a, to, &b, BLOCK, 0), BLOCK);
	ck_assert_int_eq(size_of(to), 61 * BLOCK);
	a = 0, b = 100;
	ck_assert_int_eq(copy_file_range(to, &a, to, &b, BLOCK, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	close(from);
	close(to);
}
END_TEST

TCase *space_case(void)
{
	TCase *c = tcase_create("space");

	tcase_add_test(c, posix_fallocate_makes_a_file_of_zeros);
	tcase_add_test(c, kept_size_does_not_grow_and_truncate_gives_back);
	tcase_add_test(c, what_is_kept_behind_the_end_stays_when_the_file_grows);
	tcase_add_test(c, punching_takes_blocks_and_leaves_zeros);
	tcase_add_test(c, zeroing_keeps_the_blocks);
	tcase_add_test(c, what_has_no_room_is_not_begun);
	tcase_add_test(c, ranges_cannot_be_inserted_nor_collapsed);
	tcase_add_test(c, holes_and_data_can_be_found);
	tcase_add_test(c, ranges_are_copied_with_their_holes);
	return c;
}
