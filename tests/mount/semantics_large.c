/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect of large files, mappings and O_DIRECT. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 4096
#define NEAR  (((off_t)1 << 44) - 16 * BLOCK) /* 16 TiB: where ext4 ends */

START_TEST(all_works_near_16_tib)
{
	int fd = make_file("large", 0644);
	char data[BLOCK];
	struct stat st;

	memset(data, 'l', sizeof(data));
	ck_assert_int_eq(pwrite(fd, data, BLOCK, NEAR + 100), BLOCK);
	ck_assert_int_eq(fallocate(fd, 0, NEAR + 4 * BLOCK, 4 * BLOCK), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, NEAR + 8 * BLOCK);
	ck_assert_int_lt(st.st_blocks, 200);
	ck_assert_int_eq(pread(fd, data, BLOCK, NEAR + 100), BLOCK);
	ck_assert_int_eq(data[0], 'l');
	ck_assert_int_eq(data[BLOCK - 1], 'l');
	ck_assert_int_eq(pread(fd, data, BLOCK, NEAR + 5 * BLOCK), BLOCK);
	ck_assert_int_eq(data[17], 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_DATA), NEAR);
	ck_assert_int_eq(lseek(fd, NEAR, SEEK_HOLE), NEAR + 2 * BLOCK);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, NEAR + BLOCK),
			 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_DATA), NEAR + BLOCK);
	ck_assert_int_eq(ftruncate(fd, NEAR + BLOCK + 50), 0);
	ck_assert_int_eq(pread(fd, data, BLOCK, NEAR + BLOCK), 50);
	ck_assert_int_eq(data[49], 'l');
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	close(fd);
}
END_TEST

START_TEST(private_mapping_leaves_the_file_alone)
{
	int fd = make_file("private", 0644);
	char *map, byte;

	ck_assert_int_eq(ftruncate(fd, 8 * BLOCK), 0);
	map = mmap(NULL, 8 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	map[BLOCK] = 'p';
	ck_assert_int_eq(msync(map, 8 * BLOCK, MS_SYNC), 0);
	ck_assert_int_eq(pread(fd, &byte, 1, BLOCK), 1);
	ck_assert_int_eq(byte, 0);
	ck_assert_int_eq(pwrite(fd, "f", 1, 2 * BLOCK), 1);
	ck_assert_int_eq(map[2 * BLOCK], 'f');
	ck_assert_int_eq(map[BLOCK], 'p');
	munmap(map, 8 * BLOCK);
	close(fd);
}
END_TEST

/* Of a process that touches *at. */
static int signal_of_touch(volatile char *at)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		*at = 't';
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

START_TEST(truncate_cuts_a_mapping)
{
	int fd = make_file("cut", 0644);
	char *map, data[BLOCK];

	memset(data, 'd', sizeof(data));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(write(fd, data, BLOCK), BLOCK);
	map = mmap(NULL, 4 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	map[3 * BLOCK] = 'm';
	ck_assert_int_eq(ftruncate(fd, BLOCK + 100), 0);
	ck_assert_int_eq(signal_of_touch(map + 3 * BLOCK), SIGBUS);
	ck_assert_int_eq(signal_of_touch(map + BLOCK + 50), 0);
	/* what is behind the end in its last page is not the file's */
	map[BLOCK + 200] = 'x';
	ck_assert_int_eq(msync(map, 2 * BLOCK, MS_SYNC), 0);
	ck_assert_int_eq(ftruncate(fd, 4 * BLOCK), 0);
	ck_assert_int_eq(pread(fd, data, BLOCK, BLOCK), BLOCK);
	ck_assert_int_eq(data[50], 't');
	ck_assert_int_eq(data[99], 'd');
	for (int i = 100; i < BLOCK; i++)
		ck_assert_int_eq(data[i], 0);
	ck_assert_int_eq(pread(fd, data, 1, 3 * BLOCK), 1);
	ck_assert_int_eq(data[0], 0);
	munmap(map, 4 * BLOCK);
	close(fd);
}
END_TEST

START_TEST(punched_and_zeroed_ranges_are_zero_in_a_mapping)
{
	int fd = make_file("holes", 0644);
	char *map;

	ck_assert_int_eq(ftruncate(fd, 8 * BLOCK), 0);
	map = mmap(NULL, 8 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	memset(map, 'm', 8 * BLOCK);
	ck_assert_int_eq(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK - 5, BLOCK + 10),
		0);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_ZERO_RANGE, 4 * BLOCK + 7, 2 * BLOCK), 0);
	for (int i = 0; i < 8 * BLOCK; i++) {
		int hole = (i >= BLOCK - 5 && i < 2 * BLOCK + 5) ||
			   (i >= 4 * BLOCK + 7 && i < 6 * BLOCK + 7);

		ck_assert_int_eq(map[i], hole ? 0 : 'm');
	}
	munmap(map, 8 * BLOCK);
	close(fd);
}
END_TEST

START_TEST(direct_io_reads_an_odd_tail)
{
	int fd = make_file("tail", 0644), direct = open("tail", O_RDWR | O_DIRECT);
	char *block = aligned_alloc(BLOCK, 4 * BLOCK);

	ck_assert_int_ge(direct, 0);
	memset(block, 'b', 4 * BLOCK);
	ck_assert_int_eq(pwrite(direct, block, 2 * BLOCK, 0), 2 * BLOCK);
	ck_assert_int_eq(pwrite(fd, "odd", 3, 2 * BLOCK), 3);
	memset(block, 0, 4 * BLOCK);
	ck_assert_int_eq(pread(direct, block, 4 * BLOCK, 0), 2 * BLOCK + 3);
	ck_assert_int_eq(block[2 * BLOCK - 1], 'b');
	ck_assert_mem_eq(block + 2 * BLOCK, "odd", 4);
	ck_assert_int_eq(pread(direct, block, BLOCK, 3 * BLOCK), 0);
	free(block);
	close(direct);
	close(fd);
}
END_TEST

TCase *large_case(void)
{
	TCase *c = tcase_create("large");

	tcase_add_test(c, all_works_near_16_tib);
	tcase_add_test(c, private_mapping_leaves_the_file_alone);
	tcase_add_test(c, truncate_cuts_a_mapping);
	tcase_add_test(c, punched_and_zeroed_ranges_are_zero_in_a_mapping);
	tcase_add_test(c, direct_io_reads_an_odd_tail);
	return c;
}
