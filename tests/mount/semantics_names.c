/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect of names and directories. */
#include "semantics.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define fails_with(error, call)                                                                    \
	do {                                                                                       \
		ck_assert_int_eq((call), -1);                                                      \
		ck_assert_int_eq(errno, (error));                                                  \
	} while (0)

START_TEST(names_have_up_to_255_bytes)
{
	char name[257];

	memset(name, 'n', 256);
	name[256] = '\0';
	fails_with(ENAMETOOLONG, open(name, O_CREAT | O_WRONLY, 0644));
	fails_with(ENAMETOOLONG, mkdir(name, 0755));
	name[255] = '\0';
	close(make_file(name, 0644));
	ck_assert_int_eq(access(name, F_OK), 0);
	name[0] = '\xff';
	ck_assert_int_eq(mkdir(name, 0755), 0);
	ck_assert_int_eq(rmdir(name), 0);
}
END_TEST

START_TEST(rename_noreplace_and_exchange)
{
	struct stat a, b, now;

	close(make_file("a", 0644));
	ck_assert_int_eq(mkdir("b", 0755), 0);
	ck_assert_int_eq(stat("a", &a) | stat("b", &b), 0);
	fails_with(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	ck_assert_int_eq(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE), 0);
	ck_assert_int_eq(stat("b", &now), 0);
	ck_assert_uint_eq(now.st_ino, a.st_ino);
	ck_assert_int_eq(stat("a", &now), 0);
	ck_assert_uint_eq(now.st_ino, b.st_ino);
	ck_assert_int_eq(renameat2(AT_FDCWD, "b", AT_FDCWD, "a/c", RENAME_NOREPLACE), 0);
	fails_with(ENOENT, renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE));
	fails_with(EINVAL,
		   renameat2(AT_FDCWD, "a", AT_FDCWD, "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
}
END_TEST

START_TEST(impossible_renames_are_refused)
{
	close(make_file("file", 0644));
	ck_assert_int_eq(mkdir("dir", 0755) | mkdir("dir/sub", 0755) | mkdir("other", 0755), 0);
	fails_with(EINVAL, rename("dir", "dir/sub/x"));
	fails_with(ENOTEMPTY, rename("other", "dir"));
	fails_with(ENOTDIR, rename("dir", "file"));
	fails_with(EISDIR, rename("file", "other"));
	fails_with(ENOENT, rename("none", "file"));
	ck_assert_int_eq(rename("dir/sub", "other"), 0);
	ck_assert_int_eq(rename("file", "file"), 0);
	ck_assert_int_eq(access("other/..", F_OK), 0);
}
END_TEST

START_TEST(renaming_over_an_open_file_keeps_it)
{
	int fd = make_file("old", 0644);
	char data[3];

	ck_assert_int_eq(write(fd, "old", 3), 3);
	close(make_file("new", 0644));
	ck_assert_int_eq(rename("new", "old"), 0);
	ck_assert_int_eq(pread(fd, data, 3, 0), 3);
	ck_assert_int_eq(memcmp(data, "old", 3), 0);
	close(fd);
}
END_TEST

START_TEST(wrong_types_are_refused)
{
	close(make_file("file", 0644));
	ck_assert_int_eq(mkdir("dir", 0755), 0);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	fails_with(ENOTDIR, mkdir("file/x", 0755));
	fails_with(EEXIST, mkdir("file", 0755));
	fails_with(EISDIR, unlink("dir"));
	fails_with(ENOTDIR, rmdir("file"));
	fails_with(EISDIR, open("dir", O_WRONLY));
	fails_with(EPERM, link("dir", "hard"));
	fails_with(ELOOP, open("loop", O_RDONLY));
	fails_with(ENOENT, symlink("", "empty"));
	fails_with(EEXIST, open("file", O_CREAT | O_EXCL | O_WRONLY, 0644));
}
END_TEST

START_TEST(links_are_counted)
{
	struct stat st;

	close(make_file("one", 0644));
	ck_assert_int_eq(link("one", "two"), 0);
	ck_assert_int_eq(stat("one", &st), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	ck_assert_int_eq(unlink("one"), 0);
	ck_assert_int_eq(stat("two", &st), 0);
	ck_assert_uint_eq(st.st_nlink, 1);
	ck_assert_int_eq(mkdir("d", 0755) | mkdir("d/x", 0755) | mkdir("d/y", 0755), 0);
	ck_assert_int_eq(stat("d", &st), 0);
	ck_assert_uint_eq(st.st_nlink, 4);
}
END_TEST

START_TEST(symlinks_have_up_to_4095_bytes)
{
	static const size_t lengths[] = {1, 143, 144, 145, 1000, 4095};
	char target[4096], found[4097];

	memset(target, 't', sizeof(target));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct stat st;

		target[lengths[i]] = '\0';
		ck_assert_int_eq(symlink(target, "link"), 0);
		ck_assert_int_eq(readlink("link", found, sizeof(found)), (ssize_t)lengths[i]);
		ck_assert_int_eq(memcmp(found, target, lengths[i]), 0);
		ck_assert_int_eq(lstat("link", &st), 0);
		ck_assert_int_eq(st.st_size, (off_t)lengths[i]);
		ck_assert_int_eq(unlink("link"), 0);
		target[lengths[i]] = 't';
	}
}
END_TEST

static void numbered(const char *prefix, int i, char *ret_name)
{
	sprintf(ret_name, "%s%07d", prefix, i);
}

/* Count the names that begin with prefix; none may come twice. */
static int count_names(const char *prefix, int most)
{
	char *seen = calloc((size_t)most, 1);
	struct dirent *e;
	DIR *d = opendir(".");
	int n = 0;

	while ((e = readdir(d))) {
		int i;

		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		i = atoi(e->d_name + strlen(prefix));
		ck_assert(i >= 0 && i < most && !seen[i]);
		seen[i] = 1;
		n++;
	}
	closedir(d);
	free(seen);
	return n;
}

#define MANY 100000

START_TEST(directory_of_100000_entries)
{
	struct stat st;
	char name[32];

	for (int i = 0; i < MANY; i++) {
		numbered("entry", i, name);
		close(make_file(name, 0644));
	}
	ck_assert_int_eq(count_names("entry", MANY), MANY);
	for (int i = 0; i < MANY; i += 2) {
		numbered("entry", i, name);
		ck_assert_int_eq(unlink(name), 0);
	}
	ck_assert_int_eq(count_names("entry", MANY), MANY / 2);
	for (int i = 0; i < MANY; i++) {
		numbered("entry", i, name);
		ck_assert_int_eq(stat(name, &st), i % 2 ? 0 : -1);
		if (i % 2)
			ck_assert_int_eq(unlink(name), 0);
	}
	ck_assert_int_eq(count_names("entry", MANY), 0);
}
END_TEST

#define STAYING 5000

/* Removes and makes other names between the parts of a listing. */
static void churn(int round)
{
	char name[32];

	for (int i = 0; i < 20; i++) {
		numbered("come", round * 20 + i, name);
		close(make_file(name, 0644));
		numbered("go", round * 20 + i, name);
		ck_assert_int_eq(unlink(name), 0);
	}
}

START_TEST(listing_shows_what_stays_once_while_others_come_and_go)
{
	char buffer[2048], name[32], *seen = calloc(STAYING, 1);
	int dir, n = 0, round = 0;
	long size;

	for (int i = 0; i < STAYING; i++) {
		numbered("stay", i, name);
		close(make_file(name, 0644));
		numbered("go", i, name);
		close(make_file(name, 0644));
	}
	dir = open(".", O_RDONLY | O_DIRECTORY);
	while ((size = syscall(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < size;) {
			struct dirent64 *e = (struct dirent64 *)(buffer + at);

			at += e->d_reclen;
			if (strncmp(e->d_name, "stay", 4) != 0)
				continue;
			ck_assert(!seen[atoi(e->d_name + 4)]);
			seen[atoi(e->d_name + 4)] = 1;
			n++;
		}
		if (round < STAYING / 20)
			churn(round++);
	}
	ck_assert_int_eq(size, 0);
	ck_assert_int_eq(n, STAYING);
	close(dir);
	free(seen);
}
END_TEST

START_TEST(a_place_in_a_listing_outlives_the_entry)
{
	char name[32], next[256];
	struct dirent *e;
	DIR *d;
	long place = 0;

	for (int i = 0; i < 1000; i++) {
		numbered("f", i, name);
		close(make_file(name, 0644));
	}
	d = opendir(".");
	for (int i = 0; i < 500; i++) {
		e = readdir(d);
		place = telldir(d);
	}
	if (e->d_name[0] == 'f')
		ck_assert_int_eq(unlink(e->d_name), 0);
	strcpy(next, readdir(d)->d_name);
	seekdir(d, place);
	ck_assert_str_eq(readdir(d)->d_name, next);
	rewinddir(d);
	ck_assert_ptr_nonnull(readdir(d));
	closedir(d);
}
END_TEST

START_TEST(deep_folders_know_their_path)
{
	char path[4096];

	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(mkdir("deeper", 0755), 0);
		ck_assert_int_eq(chdir("deeper"), 0);
	}
	ck_assert_ptr_nonnull(getcwd(path, sizeof(path)));
	ck_assert_uint_gt(strlen(path), 200 * 7);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(chdir(".."), 0);
		ck_assert_int_eq(rmdir("deeper"), 0);
	}
}
END_TEST

START_TEST(a_whiteout_takes_the_old_name)
{
	struct stat a, now;

	close(make_file("a", 0644));
	ck_assert_int_eq(mkdir("d", 0755), 0);
	ck_assert_int_eq(stat("a", &a), 0);
	ck_assert_int_eq(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/b", RENAME_WHITEOUT), 0);
	ck_assert_int_eq(stat("d/b", &now), 0);
	ck_assert_uint_eq(now.st_ino, a.st_ino);
	ck_assert_int_eq(lstat("a", &now), 0);
	ck_assert_uint_eq(now.st_mode & S_IFMT, S_IFCHR);
	ck_assert_uint_eq(now.st_rdev, 0);
	fails_with(EEXIST,
		   renameat2(AT_FDCWD, "d/b", AT_FDCWD, "a", RENAME_WHITEOUT | RENAME_NOREPLACE));
	fails_with(EINVAL,
		   renameat2(AT_FDCWD, "d/b", AT_FDCWD, "a", RENAME_WHITEOUT | RENAME_EXCHANGE));
	ck_assert_int_eq(renameat2(AT_FDCWD, "d/b", AT_FDCWD, "a", RENAME_WHITEOUT), 0);
	ck_assert_int_eq(stat("a", &now), 0);
	ck_assert_uint_eq(now.st_ino, a.st_ino);
}
END_TEST

START_TEST(files_without_a_name_can_get_one)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0640), excl;
	char path[64], data[5];
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "hello", 5), 5);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	close(make_file("taken", 0644));
	fails_with(EEXIST, linkat(AT_FDCWD, path, AT_FDCWD, "taken", AT_SYMLINK_FOLLOW));
	ck_assert_int_eq(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	ck_assert_int_eq(linkat(fd, "", AT_FDCWD, "twice", AT_EMPTY_PATH), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	close(fd);
	fd = open("named", O_RDONLY);
	ck_assert_int_eq(read(fd, data, 5), 5);
	ck_assert_mem_eq(data, "hello", 5);
	close(fd);
	excl = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	ck_assert_int_ge(excl, 0);
	fails_with(ENOENT, linkat(excl, "", AT_FDCWD, "never", AT_EMPTY_PATH));
	close(excl);
	fd = open("taken", O_RDONLY);
	ck_assert_int_eq(unlink("taken"), 0);
	fails_with(ENOENT, linkat(fd, "", AT_FDCWD, "never", AT_EMPTY_PATH));
	close(fd);
}
END_TEST

START_TEST(birth_time_is_when_it_was_made)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	struct statx born, now;

	close(make_file("f", 0644));
	ck_assert_int_eq(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &born), 0);
	ck_assert_uint_eq(born.stx_mask & STATX_BTIME, STATX_BTIME);
	ck_assert_int_gt(born.stx_btime.tv_sec, 1600000000);
	ck_assert_int_eq(utimensat(AT_FDCWD, "f", old, 0), 0);
	ck_assert_int_eq(chmod("f", 0600), 0);
	ck_assert_int_eq(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &now), 0);
	ck_assert_int_eq(now.stx_btime.tv_sec, born.stx_btime.tv_sec);
	ck_assert_uint_eq(now.stx_btime.tv_nsec, born.stx_btime.tv_nsec);
	ck_assert_int_eq(now.stx_mtime.tv_sec, 1000);
	ck_assert_uint_eq(now.stx_mode, S_IFREG | 0600);
}
END_TEST

START_TEST(a_folder_that_is_gone_is_empty)
{
	int replaced, removed;
	struct stat st;
	DIR *d;

	ck_assert_int_eq(mkdir("new", 0755) | mkdir("old", 0755), 0);
	replaced = open("old", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(rename("new", "old"), 0);
	ck_assert_int_eq(fstat(replaced, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	removed = open("old", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(rmdir("old"), 0);
	ck_assert_int_eq(fstat(removed, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	fails_with(ENOENT, openat(removed, "x", O_CREAT | O_WRONLY, 0644));
	fails_with(ENOENT, mkdirat(replaced, "x", 0755));
	close(replaced);
	d = fdopendir(removed);
	ck_assert_ptr_null(readdir(d));
	closedir(d);
}
END_TEST

START_TEST(a_listing_ends_though_what_it_shows_is_renamed)
{
	char name[32];
	struct dirent *e;
	DIR *d;
	int n = 0;

	for (int i = 0; i < STAYING; i++) {
		numbered("f", i, name);
		close(make_file(name, 0644));
	}
	d = opendir(".");
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		ck_assert_int_eq(rename(e->d_name, "meanwhile"), 0);
		ck_assert_int_eq(rename("meanwhile", e->d_name), 0);
		ck_assert_int_le(++n, 10 * STAYING);
	}
	ck_assert_int_ge(n, STAYING);
	close(make_file("new", 0644));
	rewinddir(d);
	do {
		e = readdir(d);
		ck_assert_ptr_nonnull(e);
	} while (strcmp(e->d_name, "new") != 0);
	closedir(d);
}
END_TEST

START_TEST(listings_know_the_kinds)
{
	struct dirent *e;
	int kinds = 0;
	DIR *d;

	close(make_file("f", 0644));
	ck_assert_int_eq(mkdir("d", 0755) | mkfifo("p", 0644) | symlink("f", "l"), 0);
	ck_assert_int_eq(mknod("s", S_IFSOCK | 0644, 0), 0);
	d = opendir(".");
	while ((e = readdir(d))) {
		struct stat st;

		ck_assert_int_eq(lstat(e->d_name, &st), 0);
		ck_assert_uint_eq(DTTOIF(e->d_type), st.st_mode & S_IFMT);
		if (e->d_name[0] != '.')
			ck_assert_uint_eq(e->d_ino, st.st_ino);
		kinds |= 1 << e->d_type;
	}
	ck_assert_int_eq(kinds,
			 1 << DT_REG | 1 << DT_DIR | 1 << DT_FIFO | 1 << DT_LNK | 1 << DT_SOCK);
	closedir(d);
}
END_TEST

START_TEST(names_are_bytes)
{
	char name[4] = {0}, found[256] = {0};
	struct dirent *e;
	DIR *d;

	for (int c = 1; c < 256; c++) {
		memset(name, c, 3);
		if (c != '/')
			close(make_file(name, 0644));
	}
	d = opendir(".");
	while ((e = readdir(d))) {
		ck_assert(strlen(e->d_name) == 3 || e->d_name[0] == '.');
		found[(unsigned char)e->d_name[0]]++;
	}
	closedir(d);
	for (int c = 1; c < 256; c++)
		ck_assert_int_eq(found[c], c == '/' ? 0 : c == '.' ? 3 : 1);
}
END_TEST

TCase *names_case(void)
{
	TCase *c = tcase_create("names");

	tcase_add_test(c, names_have_up_to_255_bytes);
	tcase_add_test(c, rename_noreplace_and_exchange);
	tcase_add_test(c, impossible_renames_are_refused);
	tcase_add_test(c, renaming_over_an_open_file_keeps_it);
	tcase_add_test(c, wrong_types_are_refused);
	tcase_add_test(c, links_are_counted);
	tcase_add_test(c, symlinks_have_up_to_4095_bytes);
	tcase_add_test(c, directory_of_100000_entries);
	tcase_add_test(c, listing_shows_what_stays_once_while_others_come_and_go);
	tcase_add_test(c, a_place_in_a_listing_outlives_the_entry);
	tcase_add_test(c, deep_folders_know_their_path);
	tcase_add_test(c, a_whiteout_takes_the_old_name);
	tcase_add_test(c, files_without_a_name_can_get_one);
	tcase_add_test(c, birth_time_is_when_it_was_made);
	tcase_add_test(c, a_folder_that_is_gone_is_empty);
	tcase_add_test(c, a_listing_ends_though_what_it_shows_is_renamed);
	tcase_add_test(c, listings_know_the_kinds);
	tcase_add_test(c, names_are_bytes);
	return c;
}
