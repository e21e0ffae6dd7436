/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs may expect of extended attributes, ACLs and set-id bits, error by error; by several users. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define refuses(error, call)                                                                       \
	do {                                                                                       \
		ck_assert_int_eq((int)(call), -1);                                                 \
		ck_assert_int_eq(errno, error);                                                    \
	} while (0)

static char value[65537];

static void give(const char *name, unsigned user, mode_t mode)
{
	ck_assert_int_eq(chown(name, user, user), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	return st.st_mode & 07777;
}

START_TEST(attributes_are_set_and_read_by_the_rules)
{
	char name[300] = "user.";
	int fd = make_file("file", 0644);

	refuses(ENODATA, getxattr("file", "user.a", NULL, 0));
	refuses(ENODATA, setxattr("file", "user.a", "1", 1, XATTR_REPLACE));
	ck_assert_int_eq(fsetxattr(fd, "user.a", "123", 3, XATTR_CREATE), 0);
	refuses(EEXIST, setxattr("file", "user.a", "1", 1, XATTR_CREATE));
	ck_assert_int_eq(setxattr("file", "user.a", "12", 2, XATTR_REPLACE), 0);
	ck_assert_int_eq(fgetxattr(fd, "user.a", NULL, 0), 2);
	refuses(ERANGE, getxattr("file", "user.a", value, 1));
	ck_assert_int_eq(getxattr("file", "user.a", value, 2), 2);
	refuses(ERANGE, listxattr("file", value, 6));
	ck_assert_int_eq(listxattr("file", value, 7), 7);
	ck_assert_int_eq(strcmp(value, "user.a"), 0);
	refuses(E2BIG, setxattr("file", "user.b", value, 65537, 0));
	ck_assert_int_eq(setxattr("file", "user.b", value, 65536, 0), 0);
	ck_assert_int_eq(setxattr("file", "user.c", NULL, 0, 0), 0);
	ck_assert_int_eq(getxattr("file", "user.c", value, 10), 0);
	ck_assert_int_eq(fremovexattr(fd, "user.a"), 0);
	refuses(ENODATA, removexattr("file", "user.a"));
	refuses(EOPNOTSUPP, setxattr("file", "nowhere.a", "1", 1, 0));
	refuses(EINVAL, setxattr("file", "user.", "1", 1, 0));
	memset(name + 5, 'n', 251);
	refuses(ERANGE, setxattr("file", name, "1", 1, 0));
	name[255] = '\0';
	ck_assert_int_eq(setxattr("file", name, "1", 1, 0), 0);
	close(fd);
}
END_TEST

/* Short and long by turns: in the inode and in blocks. */
static void replace_all_the_time(void)
{
	char both[3000];

	for (int i = 0; i < 2000; i++) {
		memset(both, 'a' + i % 26, sizeof(both));
		if (setxattr("file", "user.a", both, i % 2 ? 5 : sizeof(both), XATTR_REPLACE) < 0)
			_exit(1);
	}
	_exit(0);
}

START_TEST(an_attribute_that_is_replaced_is_never_missing_nor_half)
{
	bool running = true;
	int status;

	close(make_file("file", 0644));
	ck_assert_int_eq(setxattr("file", "user.a", "aaaaa", 5, 0), 0);
	if (fork() == 0)
		replace_all_the_time();
	while (running) {
		ssize_t n = getxattr("file", "user.a", value, sizeof(value));

		ck_assert(n == 5 || n == 3000);
		for (ssize_t i = 1; i < n; i++)
			ck_assert_int_eq(value[i], value[0]);
		running = waitpid(-1, &status, WNOHANG) == 0;
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(user_attributes_are_for_files_and_folders)
{
	ck_assert_int_eq(symlink("nowhere", "link"), 0);
	ck_assert_int_eq(mkfifo("fifo", 0666), 0);
	ck_assert_int_eq(mkdir("dir", 0777), 0);
	refuses(EPERM, lsetxattr("link", "user.a", "1", 1, 0));
	refuses(ENODATA, lgetxattr("link", "user.a", NULL, 0));
	refuses(EPERM, setxattr("fifo", "user.a", "1", 1, 0));
	ck_assert_int_eq(setxattr("dir", "user.a", "1", 1, 0), 0);
	ck_assert_int_eq(lsetxattr("link", "trusted.a", "1", 1, 0), 0);
	ck_assert_int_eq(setxattr("fifo", "trusted.a", "1", 1, 0), 0);
}
END_TEST

static int may_not_meddle(void)
{
	return refused(setxattr("theirs", "user.a", "1", 1, 0), EACCES) &&
	       refused(setxattr("mine", "trusted.a", "1", 1, 0), EPERM) &&
	       refused((int)getxattr("mine", "trusted.b", NULL, 0), ENODATA) &&
	       refused(setxattr("mine", "security.a", "1", 1, 0), EPERM) &&
	       refused(setxattr("sticky", "user.a", "1", 1, 0), EPERM) &&
	       refused((int)getxattr("secret", "user.a", NULL, 0), EACCES) &&
	       setxattr("mine", "user.a", "1", 1, 0) == 0 &&
	       listxattr("mine", value, sizeof(value)) == 7 && !strcmp(value, "user.a");
}

START_TEST(users_have_the_attributes_of_their_files)
{
	close(make_file("theirs", 0644));
	close(make_file("mine", 0));
	close(make_file("secret", 0600));
	ck_assert_int_eq(mkdir("sticky", 0), 0);
	ck_assert_int_eq(chmod("sticky", 01777), 0);
	ck_assert_int_eq(setxattr("mine", "trusted.b", "1", 1, 0), 0);
	give("mine", USER_A, 0644);
	as_user(USER_A, may_not_meddle);
}
END_TEST

START_TEST(ctime_changes_with_an_attribute)
{
	struct stat before, after;

	close(make_file("file", 0644));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stat("file", &before), 0);
		usleep(20000);
		ck_assert_int_eq(i ? removexattr("file", "user.a")
				   : setxattr("file", "user.a", "1", 1, 0),
				 0);
		ck_assert_int_eq(stat("file", &after), 0);
		ck_assert(after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
			  after.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
		ck_assert_int_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	}
}
END_TEST

/* ACLs: rwx for the owner, perm for USER_B, group and mask, nothing for others. */
static int set_acl(const char *path, const char *name, unsigned char perm)
{
	unsigned char acl[] = {
		2,    0, 0, 0,							       /* version */
		1,    0, 7, 0, 255, 255, 255, 255, 2,	 0, perm, 0, 0,	  0,   0,   0, /* users */
		4,    0, 0, 0, 255, 255, 255, 255, 0x10, 0, perm, 0, 255, 255, 255, 255,
		0x20, 0, 0, 0, 255, 255, 255, 255,
	};

	acl[16] = USER_B & 255;
	acl[17] = USER_B >> 8;
	return setxattr(path, name, acl, sizeof(acl), 0);
}

static int reads_and_writes(void)
{
	int fd = open("file", O_RDWR);

	return fd >= 0 && close(fd) == 0;
}

static int only_reads(void)
{
	return refused(open("file", O_RDWR), EACCES) && open("file", O_RDONLY) >= 0;
}

static int is_kept_out(void)
{
	return refused(open("file", O_RDONLY), EACCES);
}

static int cannot_set_an_acl(void)
{
	return refused(set_acl("file", "system.posix_acl_access", 7), EPERM) &&
	       refused(removexattr("file", "system.posix_acl_access"), EPERM);
}

START_TEST(an_acl_decides_who_may)
{
	close(make_file("file", 0600));
	as_user(USER_B, is_kept_out);
	ck_assert_int_eq(set_acl("file", "system.posix_acl_access", 6), 0);
	ck_assert_uint_eq(mode_of("file"), 0760);
	as_user(USER_B, reads_and_writes);
	as_user(USER_A, is_kept_out);
	as_user(USER_B, cannot_set_an_acl);
	ck_assert_int_eq(chmod("file", 0740), 0);
	as_user(USER_B, only_reads);
	ck_assert_int_eq(removexattr("file", "system.posix_acl_access"), 0);
	/* again, as on any filesystem of Linux */
	ck_assert_int_eq(removexattr("file", "system.posix_acl_access"), 0);
	as_user(USER_B, is_kept_out);
	refuses(EACCES, set_acl("file", "system.posix_acl_default", 6));
	refuses(EINVAL,
		setxattr("file", "system.posix_acl_access", "\2\0\0\0\1\0\7\0\0\0\0\0", 12, 0));
}
END_TEST

static int makes_below(void)
{
	struct stat st;

	umask(0777);
	return mkdir("dir/sub", 0777) == 0 && close(open("dir/sub/file", O_CREAT, 0666)) == 0 &&
	       stat("dir/sub/file", &st) == 0 && (st.st_mode & 07777) == 0660;
}

START_TEST(a_default_acl_stands_in_for_the_umask)
{
	ck_assert_int_eq(mkdir("dir", 0700), 0);
	ck_assert_int_eq(set_acl("dir", "system.posix_acl_access", 7), 0);
	ck_assert_int_eq(set_acl("dir", "system.posix_acl_default", 7), 0);
	as_user(USER_B, makes_below);
	ck_assert_uint_eq(mode_of("dir/sub"), 0770);
	ck_assert_int_eq(getxattr("dir/sub", "system.posix_acl_default", NULL, 0), 44);
}
END_TEST

static int makes_without_a_name(void)
{
	struct stat st;
	int fd;

	umask(0777);
	fd = open("dir", O_TMPFILE | O_RDWR, 0666);
	return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0660 &&
	       fgetxattr(fd, "system.posix_acl_access", NULL, 0) == 44 && close(fd) == 0;
}

START_TEST(a_file_without_a_name_inherits_too)
{
	ck_assert_int_eq(mkdir("dir", 0700), 0);
	ck_assert_int_eq(set_acl("dir", "system.posix_acl_access", 7), 0);
	ck_assert_int_eq(set_acl("dir", "system.posix_acl_default", 7), 0);
	as_user(USER_B, makes_without_a_name);
}
END_TEST

/* By one who owns the file, but is not of its group. */
static int sets_an_acl(void)
{
	return set_acl("file", "system.posix_acl_access", 7) == 0;
}

static int sets_setgid(void)
{
	return chmod("file", 02755) == 0;
}

START_TEST(setgid_goes_where_the_owner_is_not_of_the_group)
{
	close(make_file("file", 0));
	ck_assert_int_eq(chown("file", USER_A, USER_B), 0);
	ck_assert_int_eq(chmod("file", 02755), 0);
	as_user(USER_A, sets_an_acl);
	ck_assert_uint_eq(mode_of("file"), 0770);
	as_user(USER_A, sets_setgid);
	ck_assert_uint_eq(mode_of("file"), 0755);
}
END_TEST

static int writes(void)
{
	int fd = open("file", O_WRONLY);

	return fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0;
}

static int truncates(void)
{
	return truncate("file", 3) == 0;
}

static int opens_to_truncate(void)
{
	int fd = open("file", O_WRONLY | O_TRUNC);

	return fd >= 0 && close(fd) == 0;
}

static int preallocates(void)
{
	int fd = open("file", O_WRONLY);

	return fd >= 0 && fallocate(fd, 0, 0, 10000) == 0 && close(fd) == 0;
}

/* The kernel does not tell of it. */
static int copies_into(void)
{
	int from = open("from", O_RDONLY), to = open("file", O_WRONLY);

	return from >= 0 && to >= 0 && copy_file_range(from, NULL, to, NULL, 5, 0) == 5 &&
	       close(from) == 0 && close(to) == 0;
}

static int (*const changes[])(void) = {writes, truncates, opens_to_truncate, preallocates,
				       copies_into};
#define NR_CHANGES 5

static const struct {
	unsigned before, group, after;
} set_ids[] = {
	{06777, USER_A, 0777},	{06777, USER_B, 0777}, {06767, USER_A, 0767},
	{06767, USER_B, 02767}, /* mandatory locks, once; a member keeps them */
	{04766, USER_A, 0766},
};
#define NR_SET_IDS (int)(sizeof(set_ids) / sizeof(set_ids[0]))

START_TEST(a_change_by_another_user_clears_set_id_bits)
{
	int way = _i / NR_SET_IDS, n = _i % NR_SET_IDS;

	int from = make_file("from", 0644);

	ck_assert_int_eq(write(from, "bytes", 5), 5);
	close(from);
	close(make_file("file", 0));
	ck_assert_int_eq(chown("file", 0, set_ids[n].group), 0);
	ck_assert_int_eq(chmod("file", set_ids[n].before), 0);
	/* root may */
	ck_assert(changes[way]());
	ck_assert_uint_eq(mode_of("file"), set_ids[n].before);
	as_user(USER_B, changes[way]);
	ck_assert_uint_eq(mode_of("file"), set_ids[n].after);
}
END_TEST

START_TEST(a_new_owner_clears_set_id_bits_also_by_root)
{
	close(make_file("file", 0));
	ck_assert_int_eq(chmod("file", 06777), 0);
	ck_assert_int_eq(chown("file", USER_A, -1), 0);
	ck_assert_uint_eq(mode_of("file"), 0777);
	ck_assert_int_eq(chmod("file", 06767), 0);
	ck_assert_int_eq(chown("file", -1, USER_B), 0);
	ck_assert_uint_eq(mode_of("file"), 02767);
	ck_assert_int_eq(chmod("file", 06767), 0);
	ck_assert_int_eq(chown("file", -1, USER_A), 0);
	ck_assert_uint_eq(mode_of("file"), 02767);
	/* what they mean to a folder stays */
	ck_assert_int_eq(mkdir("dir", 0), 0);
	ck_assert_int_eq(chmod("dir", 06777), 0);
	ck_assert_int_eq(chown("dir", USER_A, USER_A), 0);
	ck_assert_uint_eq(mode_of("dir"), 06777);
}
END_TEST

/* By its owner, who is of both groups. */
START_TEST(a_new_group_clears_set_id_bits_of_any_node)
{
	static const mode_t types[] = {S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK};
	static const gid_t groups[] = {USER_A, USER_B};

	ck_assert_int_eq(mknod("node", types[_i], 0), 0);
	give("node", USER_A, 06555);
	if (fork() == 0) {
		if (setgroups(2, groups) < 0 || setgid(USER_A) < 0 || setuid(USER_A) < 0)
			_exit(2);
		_exit(chown("node", -1, USER_B) != 0);
	}
	wait_good();
	ck_assert_uint_eq(mode_of("node"), 0555);
}
END_TEST

/* cap_net_raw=ep, as setcap(8) writes it. */
static const unsigned char capability[] = {1, 0, 0, 2, 0, 32, 0, 0, 0, 0,
					   0, 0, 0, 0, 0, 0,  0, 0, 0, 0};

START_TEST(capabilities_go_with_any_change)
{
	close(make_file("file", 0755));
	for (int way = 0; way < 4; way++) {
		ck_assert_int_eq(
			setxattr("file", "security.capability", capability, sizeof(capability), 0),
			0);
		/* the kernel knows the file by now */
		ck_assert_int_eq(getxattr("file", "security.capability", NULL, 0),
				 sizeof(capability));
		ck_assert(way < 3 ? changes[way]() : chown("file", USER_A, -1) == 0);
		refuses(ENODATA, getxattr("file", "security.capability", NULL, 0));
	}
}
END_TEST

TCase *xattr_case(void)
{
	TCase *c = tcase_create("xattr");

	tcase_add_test(c, attributes_are_set_and_read_by_the_rules);
	tcase_add_test(c, an_attribute_that_is_replaced_is_never_missing_nor_half);
	tcase_add_test(c, user_attributes_are_for_files_and_folders);
	tcase_add_test(c, users_have_the_attributes_of_their_files);
	tcase_add_test(c, ctime_changes_with_an_attribute);
	tcase_add_test(c, an_acl_decides_who_may);
	tcase_add_test(c, a_default_acl_stands_in_for_the_umask);
	tcase_add_test(c, a_file_without_a_name_inherits_too);
	tcase_add_test(c, setgid_goes_where_the_owner_is_not_of_the_group);
	tcase_add_loop_test(c, a_change_by_another_user_clears_set_id_bits, 0,
			    NR_CHANGES * NR_SET_IDS);
	tcase_add_test(c, a_new_owner_clears_set_id_bits_also_by_root);
	tcase_add_loop_test(c, a_new_group_clears_set_id_bits_of_any_node, 0, 5);
	tcase_add_test(c, capabilities_go_with_any_change);
	return c;
}
