/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What programs may expect of the folder DIR, on a real mount: files and their data.  Run as root.
 * Passes on ext4 and xfs too, so it is a test of these expectations as well.
 */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(append_writes_go_to_the_end)
{
	int a = make_file("append", 0644), b = open("append", O_WRONLY | O_APPEND);
	char data[8] = {0};

	ck_assert_int_eq(write(b, "one", 3), 3);
	ck_assert_int_eq(pwrite(a, "two", 3, 3), 3);
	ck_assert_int_eq(write(b, "3", 1), 1);
	ck_assert_int_eq(pread(a, data, sizeof(data), 0), 7);
	ck_assert_str_eq(data, "onetwo3");
	close(a);
	close(b);
}
END_TEST

static void append_lines(char letter)
{
	int fd = open("shared", O_WRONLY | O_APPEND);
	char line[17];

	memset(line, letter, 16);
	line[16] = '\n';
	for (int i = 0; i < 500; i++)
		if (write(fd, line, sizeof(line)) != sizeof(line))
			_exit(1);
	_exit(0);
}

START_TEST(appending_processes_do_not_overwrite_each_other)
{
	unsigned count[4] = {0};
	char line[17];
	int fd = make_file("shared", 0644);

	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			append_lines((char)('a' + i));
	for (int i = 0; i < 4; i++)
		wait_good();
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(read(fd, line, sizeof(line)), sizeof(line));
		ck_assert(line[0] >= 'a' && line[0] <= 'd' && line[15] == line[0]);
		count[line[0] - 'a']++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(count[i], 500);
	close(fd);
}
END_TEST

START_TEST(o_trunc_empties_a_file)
{
	int fd = make_file("trunc", 0644);
	struct stat st;

	ck_assert_int_eq(write(fd, "hello", 5), 5);
	close(fd);
	fd = open("trunc", O_RDONLY | O_TRUNC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(st.st_blocks, 0);
	close(fd);
}
END_TEST

START_TEST(cut_and_grown_again_a_file_has_zeros)
{
	int fd = make_file("cut", 0644);
	char data[20000], zeros[20000] = {0};

	memset(data, 'x', sizeof(data));
	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(ftruncate(fd, 5000), 0);
	ck_assert_int_eq(ftruncate(fd, 20000), 0);
	ck_assert_int_eq(pread(fd, data, sizeof(data), 0), sizeof(data));
	ck_assert_int_eq(data[4999], 'x');
	ck_assert_int_eq(memcmp(data + 5000, zeros, 15000), 0);
	close(fd);
}
END_TEST

START_TEST(shared_mapping_and_file_are_one)
{
	int fd = make_file("mapped", 0644);
	char *map, byte;

	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	for (int i = 0; i < 1 << 20; i += 4096)
		map[i + 7] = 'm';
	ck_assert_int_eq(msync(map, 1 << 20, MS_SYNC), 0);
	for (int i = 0; i < 1 << 20; i += 4096) {
		ck_assert_int_eq(pread(fd, &byte, 1, i + 7), 1);
		ck_assert_int_eq(byte, 'm');
	}
	ck_assert_int_eq(pwrite(fd, "w", 1, 5), 1);
	ck_assert_int_eq(map[5], 'w');
	munmap(map, 1 << 20);
	close(fd);
}
END_TEST

START_TEST(unlinked_file_lives_while_it_is_open)
{
	int fd = make_file("gone", 0644);
	char data[5];
	struct stat st;

	ck_assert_int_eq(unlink("gone"), 0);
	ck_assert_int_eq(access("gone", F_OK), -1);
	ck_assert_int_eq(write(fd, "still", 5), 5);
	ck_assert_int_eq(pread(fd, data, 5, 0), 5);
	ck_assert_int_eq(memcmp(data, "still", 5), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	close(make_file("gone", 0644));
	close(fd);
}
END_TEST

START_TEST(holes_beyond_4_gib_take_no_space)
{
	static const off_t at[] = {0, (off_t)5 << 30, (off_t)100 << 30, ((off_t)1 << 40) + 123};
	int fd = make_file("holes", 0644);
	char data[8192];
	struct stat st;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pwrite(fd, &at[i], sizeof(at[i]), at[i]), sizeof(at[i]));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, at[3] + 8);
	ck_assert_int_lt(st.st_blocks, 400);
	for (int i = 0; i < 4; i++) {
		off_t found;

		ck_assert_int_eq(pread(fd, &found, sizeof(found), at[i]), sizeof(found));
		ck_assert_int_eq(found, at[i]);
	}
	ck_assert_int_eq(pread(fd, data, sizeof(data), (off_t)50 << 30), sizeof(data));
	for (size_t i = 0; i < sizeof(data); i++)
		ck_assert_int_eq(data[i], 0);
	close(fd);
}
END_TEST

START_TEST(too_large_a_file_is_EFBIG)
{
	int fd = make_file("large", 0644);

	ck_assert_int_eq(pwrite(fd, "x", 1, LLONG_MAX - 1), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_int_eq(ftruncate(fd, LLONG_MAX), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 43), 0);
	close(fd);
}
END_TEST

START_TEST(direct_io_and_the_page_cache_agree)
{
	int fd = make_file("direct", 0644), direct = open("direct", O_RDWR | O_DIRECT);
	char *block = aligned_alloc(4096, 1 << 20), byte;

	memset(block, 'd', 1 << 20);
	ck_assert_int_ge(direct, 0);
	ck_assert_int_eq(pwrite(fd, "cached", 6, 100), 6);
	ck_assert_int_eq(pwrite(direct, block, 1 << 20, 4096), 1 << 20);
	ck_assert_int_eq(pread(fd, &byte, 1, 500000), 1);
	ck_assert_int_eq(byte, 'd');
	ck_assert_int_eq(pwrite(fd, "c", 1, 500000), 1);
	ck_assert_int_eq(pread(direct, block, 1 << 20, 0), 1 << 20);
	ck_assert_int_eq(memcmp(block + 100, "cached", 6), 0);
	ck_assert_int_eq(block[500000], 'c');
	free(block);
	close(fd);
	close(direct);
}
END_TEST

START_TEST(all_ways_to_sync_work)
{
	int fd = make_file("synced", 0644), readonly = open("synced", O_RDONLY);
	int dir = open(".", O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(fdatasync(fd), 0);
	ck_assert_int_eq(fsync(readonly), 0);
	ck_assert_int_eq(fsync(dir), 0);
	ck_assert_int_eq(fdatasync(dir), 0);
	ck_assert_int_eq(syncfs(dir), 0);
	ck_assert_int_eq(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
	close(dir);
	close(readonly);
	close(fd);
	fd = open("synced", O_WRONLY | O_SYNC);
	ck_assert_int_eq(write(fd, "y", 1), 1);
	close(fd);
}
END_TEST

START_TEST(times_keep_nanoseconds_and_centuries)
{
	static const struct timespec sets[][2] = {{{1, 123456789}, {2, 999999999}},
						  {{-86400, 1}, {5000000000, 500}}};
	struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
	struct stat st;

	close(make_file("times", 0644));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(utimensat(AT_FDCWD, "times", sets[i], 0), 0);
		ck_assert_int_eq(stat("times", &st), 0);
		ck_assert_int_eq(st.st_atim.tv_sec, sets[i][0].tv_sec);
		ck_assert_int_eq(st.st_atim.tv_nsec, sets[i][0].tv_nsec);
		ck_assert_int_eq(st.st_mtim.tv_sec, sets[i][1].tv_sec);
		ck_assert_int_eq(st.st_mtim.tv_nsec, sets[i][1].tv_nsec);
	}
	ck_assert_int_eq(utimensat(AT_FDCWD, "times", omit, 0), 0);
	ck_assert_int_eq(stat("times", &st), 0);
	ck_assert_int_eq(st.st_atim.tv_sec, -86400);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1600000000);
	ck_assert_int_lt(st.st_mtim.tv_sec, 5000000000);
}
END_TEST

START_TEST(changes_move_mtime_and_ctime)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	int fd = make_file("changed", 0644);
	struct stat st, now;

	ck_assert_int_eq(futimens(fd, old), 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1000);
	ck_assert_int_eq(futimens(fd, old), 0);
	ck_assert_int_eq(fchmod(fd, 0600), 0);
	ck_assert_int_eq(fstat(fd, &now), 0);
	ck_assert_int_eq(now.st_mtim.tv_sec, 1000);
	ck_assert_int_ge(now.st_ctim.tv_sec, st.st_mtim.tv_sec);
	ck_assert_int_eq(mkdir("parent", 0755), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, "parent", old, 0), 0);
	close(make_file("parent/child", 0644));
	ck_assert_int_eq(stat("parent", &st), 0);
	ck_assert_int_gt(st.st_mtim.tv_sec, 1000);
	close(fd);
}
END_TEST

START_TEST(locks_exclude_other_processes)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
	int fd = make_file("locked", 0644);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(fcntl(fd, F_SETLK, &l), 0);
	if (fork() == 0) {
		int other = open("locked", O_RDWR);

		_exit(!(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK &&
			fcntl(other, F_SETLK, &l) == -1 && (errno == EAGAIN || errno == EACCES)));
	}
	wait_good();
	close(fd);
}
END_TEST

START_TEST(a_program_runs_from_here)
{
	int from = open("/bin/true", O_RDONLY), to = make_file("program", 0755);
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	ck_assert_int_eq(n, 0);
	close(from);
	close(to);
	if (fork() == 0) {
		execl("./program", "program", (char *)NULL);
		_exit(127);
	}
	wait_good();
}
END_TEST

START_TEST(free_counts_return_when_a_file_is_gone)
{
	struct statvfs before, after;
	char data[65536] = {1};
	int fd;

	ck_assert_int_eq(statvfs(".", &before), 0);
	fd = make_file("counted", 0644);
	for (int i = 0; i < 32; i++)
		ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(statvfs(".", &after), 0);
	ck_assert_uint_le(after.f_bfree + 512, before.f_bfree);
	/* with the truncation the blocks are free at once; the inode only when the kernel forgets it */
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(fsync(fd), 0);
	close(fd);
	ck_assert_int_eq(unlink("counted"), 0);
	ck_assert_int_eq(statvfs(".", &after), 0);
	ck_assert_uint_ge(after.f_bfree, before.f_bfree);
	ck_assert_uint_eq(after.f_namemax, 255);
}
END_TEST

TCase *files_case(void)
{
	TCase *c = tcase_create("files");

	tcase_add_test(c, append_writes_go_to_the_end);
	tcase_add_test(c, appending_processes_do_not_overwrite_each_other);
	tcase_add_test(c, o_trunc_empties_a_file);
	tcase_add_test(c, cut_and_grown_again_a_file_has_zeros);
	tcase_add_test(c, shared_mapping_and_file_are_one);
	tcase_add_test(c, unlinked_file_lives_while_it_is_open);
	tcase_add_test(c, holes_beyond_4_gib_take_no_space);
	tcase_add_test(c, too_large_a_file_is_EFBIG);
	tcase_add_test(c, direct_io_and_the_page_cache_agree);
	tcase_add_test(c, all_ways_to_sync_work);
	tcase_add_test(c, times_keep_nanoseconds_and_centuries);
	tcase_add_test(c, changes_move_mtime_and_ctime);
	tcase_add_test(c, locks_exclude_other_processes);
	tcase_add_test(c, a_program_runs_from_here);
	tcase_add_test(c, free_counts_return_when_a_file_is_gone);
	return c;
}
