/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect where several users meet, and of nodes that are no files. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static int make_mine(void)
{
	int fd = open("shared/mine", O_CREAT | O_EXCL | O_WRONLY, 0666);

	return fd >= 0 && close(fd) == 0;
}

static int cannot_remove(void)
{
	return refused(unlink("shared/mine"), EPERM) &&
	       refused(rename("shared/mine", "shared/yours"), EPERM) && make_mine() == 0;
}

static int can_remove(void)
{
	return unlink("shared/mine") == 0;
}

START_TEST(sticky_folder_protects_the_files_of_others)
{
	ck_assert_int_eq(mkdir("shared", 0), 0);
	ck_assert_int_eq(chmod("shared", 01777), 0);
	as_user(USER_A, make_mine);
	as_user(USER_B, cannot_remove);
	as_user(USER_A, can_remove);
	ck_assert_int_eq(chmod("shared", 0777), 0);
	as_user(USER_A, make_mine);
	as_user(USER_B, can_remove);
}
END_TEST

START_TEST(setgid_folder_gives_its_group)
{
	struct stat st;

	ck_assert_int_eq(mkdir("shared", 0), 0);
	ck_assert_int_eq(chown("shared", USER_B, USER_B), 0);
	ck_assert_int_eq(chmod("shared", 02777), 0);
	as_user(USER_A, make_mine);
	ck_assert_int_eq(stat("shared/mine", &st), 0);
	ck_assert_uint_eq(st.st_uid, USER_A);
	ck_assert_uint_eq(st.st_gid, USER_B);
	ck_assert_int_eq(mkdir("shared/sub", 0755), 0);
	ck_assert_int_eq(stat("shared/sub", &st), 0);
	ck_assert_uint_eq(st.st_gid, USER_B);
	ck_assert_uint_eq(st.st_mode & 07777, 02755);
}
END_TEST

static int is_locked_out(void)
{
	return refused(open("secret", O_RDONLY), EACCES) &&
	       refused(open("closed/x", O_RDONLY), EACCES) &&
	       refused(open("new", O_CREAT | O_WRONLY, 0644), EACCES) &&
	       refused(chmod("secret", 0777), EPERM) &&
	       refused(chown("secret", USER_B, USER_B), EPERM) &&
	       refused(mknod("dev", S_IFCHR | 0666, makedev(1, 3)), EACCES);
}

START_TEST(modes_are_checked)
{
	close(make_file("secret", 0600));
	ck_assert_int_eq(chown("secret", USER_A, USER_A), 0);
	ck_assert_int_eq(mkdir("closed", 0700), 0);
	close(make_file("closed/x", 0666));
	as_user(USER_B, is_locked_out);
}
END_TEST

static int writes_one_byte(void)
{
	int fd = open("suid", O_WRONLY);

	return fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0;
}

START_TEST(writing_and_giving_away_clear_setuid)
{
	struct stat st;

	close(make_file("suid", 0));
	ck_assert_int_eq(chmod("suid", 06777), 0);
	as_user(USER_A, writes_one_byte);
	ck_assert_int_eq(stat("suid", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0777);
	ck_assert_int_eq(chmod("suid", 06777), 0);
	ck_assert_int_eq(chown("suid", USER_A, USER_A), 0);
	ck_assert_int_eq(stat("suid", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0777);
	ck_assert_uint_eq(st.st_uid, USER_A);
}
END_TEST

START_TEST(umask_applies_to_what_is_made)
{
	struct stat st;

	umask(027);
	close(make_file("file", 0666));
	ck_assert_int_eq(mkdir("dir", 0777), 0);
	ck_assert_int_eq(stat("file", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(stat("dir", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
}
END_TEST

START_TEST(device_nodes_are_devices)
{
	struct stat st;
	char byte = 'x';
	int fd;

	ck_assert_int_eq(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0);
	ck_assert_int_eq(mknod("large", S_IFBLK | 0600, makedev(259, 70000)), 0);
	ck_assert_int_eq(stat("large", &st), 0);
	ck_assert_uint_eq(major(st.st_rdev), 259);
	ck_assert_uint_eq(minor(st.st_rdev), 70000);
	ck_assert(S_ISBLK(st.st_mode));
	fd = open("null", O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &byte, 1), 1);
	ck_assert_int_eq(read(fd, &byte, 1), 0);
	close(fd);
}
END_TEST

START_TEST(fifo_joins_two_processes)
{
	char data[5];
	int fd;

	ck_assert_int_eq(mkfifo("fifo", 0644), 0);
	if (fork() == 0) {
		fd = open("fifo", O_WRONLY);
		_exit(write(fd, "hello", 5) != 5);
	}
	fd = open("fifo", O_RDONLY);
	ck_assert_int_eq(read(fd, data, 5), 5);
	ck_assert_int_eq(memcmp(data, "hello", 5), 0);
	close(fd);
	wait_good();
}
END_TEST

START_TEST(socket_can_be_bound_and_found)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;

	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(server, 1), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(stat("socket", &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	close(client);
	close(server);
}
END_TEST

TCase *users_case(void)
{
	TCase *c = tcase_create("users");

	tcase_add_test(c, sticky_folder_protects_the_files_of_others);
	tcase_add_test(c, setgid_folder_gives_its_group);
	tcase_add_test(c, modes_are_checked);
	tcase_add_test(c, writing_and_giving_away_clear_setuid);
	tcase_add_test(c, umask_applies_to_what_is_made);
	tcase_add_test(c, device_nodes_are_devices);
	tcase_add_test(c, fifo_joins_two_processes);
	tcase_add_test(c, socket_can_be_bound_and_found);
	return c;
}
