/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel does by itself on a mount without asking us, or with little: locks, watches, paths, times by rule. */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Run in a child, which must return true. */
static void child(bool (*act)(void))
{
	if (fork() == 0)
		_exit(act() ? 0 : 1);
	wait_good();
}

static bool flock_is_taken(void)
{
	int fd = open("file", O_RDWR);

	return flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	       flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static bool flock_is_shared(void)
{
	int fd = open("file", O_RDWR);

	return flock(fd, LOCK_EX | LOCK_NB) < 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
}

static bool flock_is_free(void)
{
	return flock(open("file", O_RDONLY), LOCK_EX | LOCK_NB) == 0;
}

START_TEST(flock_is_between_open_files)
{
	int fd = make_file("file", 0600);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	child(flock_is_taken);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	child(flock_is_shared);
	close(fd);
	child(flock_is_free);
}
END_TEST

static int ofd_lock(int fd, short type, off_t start, off_t length)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, F_OFD_SETLK, &l);
}

START_TEST(ofd_locks_are_of_open_files_and_ranges)
{
	int a = make_file("file", 0600), b = open("file", O_RDWR);

	ck_assert_int_eq(ofd_lock(a, F_WRLCK, 100, 100), 0);
	ck_assert_int_eq(ofd_lock(b, F_RDLCK, 150, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(ofd_lock(b, F_WRLCK, 200, 100), 0);
	/* another descriptor's close leaves it, unlike a lock of the process */
	close(open("file", O_RDWR));
	ck_assert_int_eq(ofd_lock(b, F_RDLCK, 150, 1), -1);
	close(a);
	ck_assert_int_eq(ofd_lock(b, F_RDLCK, 150, 1), 0);
	close(b);
}
END_TEST

static void expect_event(int fd, uint32_t mask, const char *name)
{
	char space[1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct inotify_event *e = (struct inotify_event *)space;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_gt(read(fd, space, sizeof(struct inotify_event) + 16), 0);
	ck_assert_uint_eq(e->mask, mask);
	ck_assert_str_eq(e->len ? e->name : "", name);
}

START_TEST(inotify_tells_of_changes)
{
	int fd = inotify_init1(IN_CLOEXEC), file;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(inotify_add_watch(fd, ".", IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVE),
			 0);
	file = make_file("file", 0600);
	expect_event(fd, IN_CREATE, "file");
	ck_assert_int_eq(write(file, "x", 1), 1);
	expect_event(fd, IN_MODIFY, "file");
	ck_assert_int_eq(rename("file", "new"), 0);
	expect_event(fd, IN_MOVED_FROM, "file");
	expect_event(fd, IN_MOVED_TO, "new");
	ck_assert_int_eq(unlink("new"), 0);
	expect_event(fd, IN_DELETE, "new");
	close(file);
	close(fd);
}
END_TEST

START_TEST(it_is_no_place_for_swap)
{
	static char page[4096];
	int fd = make_file("swap", 0600);

	memcpy(page + 4096 - 10, "SWAPSPACE2", 10);
	ck_assert_int_eq(write(fd, page, sizeof(page)), (int)sizeof(page));
	ck_assert_int_eq(swapon("swap", 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	/* and can still be written */
	ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
	close(fd);
}
END_TEST

START_TEST(o_path_and_proc_name_the_file)
{
	char path[64], at[4096], c;
	int fd, again, file = make_file("file", 0600);
	struct stat a, b;
	ssize_t n;

	ck_assert_int_eq(write(file, "x", 1), 1);
	ck_assert_int_eq(rename("file", "renamed"), 0);
	fd = open("renamed", O_PATH);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, &c, 1), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(fstat(fd, &a), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, at, sizeof(at) - 1);
	ck_assert_int_gt(n, 0);
	at[n] = 0;
	ck_assert_str_eq(strrchr(at, '/'), "/renamed");
	again = open(path, O_RDONLY);
	ck_assert_int_ge(again, 0);
	ck_assert_int_eq(read(again, &c, 1), 1);
	ck_assert_int_eq(unlink("renamed"), 0);
	ck_assert_int_eq(stat(path, &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	ck_assert_uint_eq(b.st_nlink, 0);
	close(again);
	close(fd);
	close(file);
}
END_TEST

/* 15 folders with names of 255 bytes, and a file: 4,095 bytes with the NUL's, the most a path may have. */
START_TEST(a_path_has_up_to_4095_bytes)
{
	char path[4200] = "", name[256];
	int fd;

	memset(name, 'n', 255);
	name[255] = 0;
	for (int k = 0; k < 15; k++) {
		strcat(path, name);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		strcat(path, "/");
	}
	fd = (int)strlen(path);
	memset(path + fd, 'f', 4095 - (size_t)fd);
	path[4095] = 0;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(access(path, R_OK), 0);
	ck_assert_int_eq(unlink(path), 0);
	strcat(path, "f");
	ck_assert_int_eq(open(path, O_RDWR | O_CREAT, 0600), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

static struct stat stat_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	return st;
}

static void set_times(const char *name, long atime_ns, long mtime_ns)
{
	const struct timespec t[2] = {{1000, atime_ns}, {2000, mtime_ns}};

	ck_assert_int_eq(utimensat(AT_FDCWD, name, t, AT_SYMLINK_NOFOLLOW), 0);
}

START_TEST(utimensat_sets_what_it_is_told)
{
	time_t now = time(NULL);

	ck_assert_int_eq(symlink("target", "name"), 0);
	set_times("name", 1, 2);
	ck_assert_int_eq(stat_of("name").st_atim.tv_nsec, 1);
	ck_assert_int_eq(stat_of("name").st_mtim.tv_sec, 2000);
	ck_assert_int_ge(stat_of("name").st_ctim.tv_sec, now);
	set_times("name", UTIME_OMIT, UTIME_NOW);
	ck_assert_int_eq(stat_of("name").st_atim.tv_sec, 1000);
	ck_assert_int_ge(stat_of("name").st_mtim.tv_sec, now);
	set_times("name", UTIME_NOW, 7);
	ck_assert_int_ge(stat_of("name").st_atim.tv_sec, now);
	ck_assert_int_eq(stat_of("name").st_mtim.tv_nsec, 7);
	ck_assert_int_eq(unlink("name"), 0);
}
END_TEST

static bool only_now(void)
{
	const struct timespec past[2] = {{1, 0}, {1, 0}};
	const struct timespec one_now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	const struct timespec both_now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

	if (setgid(USER_A) < 0 || setuid(USER_A) < 0)
		return false;
	return utimensat(AT_FDCWD, "for_all", past, 0) < 0 && errno == EPERM &&
	       utimensat(AT_FDCWD, "for_all", one_now, 0) < 0 && errno == EPERM &&
	       utimensat(AT_FDCWD, "for_all", both_now, 0) == 0 &&
	       utimensat(AT_FDCWD, "for_all", NULL, 0) == 0 &&
	       utimensat(AT_FDCWD, "for_none", NULL, 0) < 0 && errno == EACCES;
}

START_TEST(who_may_write_may_set_times_to_now_only)
{
	close(make_file("for_all", 0600));
	close(make_file("for_none", 0600));
	ck_assert_int_eq(chmod("for_all", 0666), 0);
	child(only_now);
}
END_TEST

/* The first read after a change moves the atime: data, names, and what a symlink says; the kernel caches the next ones. */
START_TEST(reading_is_seen_in_the_access_time)
{
	time_t now = time(NULL);
	char c[10];
	int fd = make_file("file", 0600);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	ck_assert_int_eq(mkdir("dir", 0700), 0);
	ck_assert_int_eq(symlink("target", "link"), 0);
	set_times("file", 0, 0);
	set_times("dir", 0, 0);
	set_times("link", 0, 0);
	ck_assert_int_eq(pread(fd, c, 1, 0), 1);
	ck_assert_int_eq(readlink("link", c, sizeof(c)), 6);
	close(fd);
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	ck_assert_int_gt(syscall(SYS_getdents64, fd, (char[1024]){0}, 1024), 0);
	close(fd);
	ck_assert_int_ge(stat_of("file").st_atim.tv_sec, now);
	ck_assert_int_ge(stat_of("link").st_atim.tv_sec, now);
	ck_assert_int_ge(stat_of("dir").st_atim.tv_sec, now);
}
END_TEST

START_TEST(statfs_and_stat_have_sizes_that_make_sense)
{
	struct statfs s;
	struct stat st;
	int fd = make_file("file", 0600);

	ck_assert_int_eq(write(fd, (char[5000]){1}, 5000), 5000);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blksize, 4096);
	ck_assert_int_eq(st.st_blocks, 16);
	ck_assert_int_eq(fstatfs(fd, &s), 0);
	ck_assert_int_eq(s.f_namelen, 255);
	ck_assert_int_eq(s.f_frsize, s.f_bsize);
	ck_assert_uint_le(s.f_bavail, s.f_bfree);
	ck_assert_uint_lt(s.f_bfree, s.f_blocks);
	ck_assert_uint_lt(s.f_ffree, s.f_files);
	close(fd);
}
END_TEST

static bool is_busy_as_mount_point(void)
{
	return mount("none", "dir", "tmpfs", 0, NULL) == 0 && refused(rmdir("dir"), EBUSY) &&
	       refused(rename("dir", "new"), EBUSY) && refused(rename("other", "dir"), EBUSY) &&
	       umount("dir") == 0;
}

START_TEST(a_mount_point_is_busy)
{
	ck_assert_int_eq(mkdir("dir", 0755), 0);
	ck_assert_int_eq(mkdir("other", 0755), 0);
	child(is_busy_as_mount_point);
	ck_assert_int_eq(rename("other", "dir"), 0);
}
END_TEST

static bool is_another_filesystem(void)
{
	return mount("none", "dir", "tmpfs", 0, NULL) == 0 && mkdir("dir/there", 0755) == 0 &&
	       refused(link("file", "dir/file"), EXDEV) &&
	       refused(rename("file", "dir/file"), EXDEV) &&
	       refused(rename("dir/there", "here"), EXDEV) && umount("dir") == 0;
}

START_TEST(nothing_is_linked_or_moved_to_another_filesystem)
{
	ck_assert_int_eq(mkdir("dir", 0755), 0);
	close(make_file("file", 0644));
	child(is_another_filesystem);
}
END_TEST

static void copy_program(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_EXCL | O_WRONLY, 0755);
	struct stat st;

	ck_assert_int_eq(fstat(in, &st), 0);
	ck_assert_int_eq(sendfile(out, in, NULL, (size_t)st.st_size), st.st_size);
	close(out);
	close(in);
}

START_TEST(a_running_program_cannot_be_written)
{
	int in[2], out[2];
	char byte = 'x';

	copy_program("/bin/cat", "program");
	ck_assert_int_eq(pipe(in) | pipe(out), 0);
	if (fork() == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execl("program", "program", (char *)NULL);
		_exit(1);
	}
	/* it answers: so it runs */
	ck_assert_int_eq(write(in[1], &byte, 1), 1);
	ck_assert_int_eq(read(out[0], &byte, 1), 1);
	ck_assert(refused(open("program", O_WRONLY), ETXTBSY));
	ck_assert(refused(open("program", O_RDWR | O_TRUNC), ETXTBSY));
	ck_assert(refused(truncate("program", 1), ETXTBSY));
	ck_assert_int_eq(unlink("program"), 0);
	close(in[1]);
	wait_good();
}
END_TEST

static bool is_kept_out_by_a_lease(void)
{
	return refused(open("file", O_WRONLY | O_NONBLOCK), EWOULDBLOCK) &&
	       close(open("file", O_RDONLY | O_NONBLOCK)) == 0;
}

START_TEST(a_lease_keeps_writers_out)
{
	int fd;

	signal(SIGIO, SIG_IGN);
	close(make_file("file", 0600));
	fd = open("file", O_RDONLY);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	ck_assert_int_eq(fcntl(fd, F_GETLEASE), F_RDLCK);
	child(is_kept_out_by_a_lease);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(fcntl(fd, F_GETLEASE), F_UNLCK);
	close(fd);
}
END_TEST

START_TEST(what_nobody_serves_is_ENXIO)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int server = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert(refused(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO));
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert(refused(open("socket", O_RDONLY), ENXIO));
	ck_assert_int_eq(mknod("device", S_IFCHR | 0600, makedev(4000, 5)), 0);
	ck_assert(refused(open("device", O_RDONLY), ENXIO));
	close(server);
}
END_TEST

TCase *kernel_case(void)
{
	TCase *tc = tcase_create("kernel");

	tcase_add_test(tc, flock_is_between_open_files);
	tcase_add_test(tc, ofd_locks_are_of_open_files_and_ranges);
	tcase_add_test(tc, inotify_tells_of_changes);
	tcase_add_test(tc, o_path_and_proc_name_the_file);
	tcase_add_test(tc, a_path_has_up_to_4095_bytes);
	tcase_add_test(tc, utimensat_sets_what_it_is_told);
	tcase_add_test(tc, reading_is_seen_in_the_access_time);
	tcase_add_test(tc, statfs_and_stat_have_sizes_that_make_sense);
	tcase_add_test(tc, a_running_program_cannot_be_written);
	tcase_add_test(tc, a_lease_keeps_writers_out);
	if (geteuid() != 0)
		return tc;
	tcase_add_test(tc, it_is_no_place_for_swap);
	tcase_add_test(tc, who_may_write_may_set_times_to_now_only);
	tcase_add_test(tc, a_mount_point_is_busy);
	tcase_add_test(tc, nothing_is_linked_or_moved_to_another_filesystem);
	tcase_add_test(tc, what_nobody_serves_is_ENXIO);
	return tc;
}
