/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names one by one: what is refused and why, what is inherited, link counts at their limit, and times. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"
#include "namei.h"

#define SIZE (UINT64_C(16) << 20)
#define OLD  1000 /* seconds: a time that is not now */

static struct image i;

static void setup(void)
{
	image_init_mounted(&i, SIZE, 1024);
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static int make(uint64_t dir, const char *name, uint32_t mode)
{
	const struct fs_new what = {.mode = mode, .target = "t"};
	struct fs_attr attr;
	int r = fs_make(i.fs, dir, name, &what, &attr);

	if (r == 0)
		fs_forget(i.fs, attr.ino, 1);
	return r;
}

static int lookup(uint64_t dir, const char *name)
{
	struct fs_attr attr;
	int r = fs_lookup(i.fs, dir, name, &attr);

	if (r == 0)
		fs_forget(i.fs, attr.ino, 1);
	return r;
}

static int rename_to(const char *from, const char *to, unsigned flags)
{
	return fs_rename(i.fs, &(struct fs_names){INODE_ROOT, from, INODE_ROOT, to}, flags);
}

START_TEST(a_name_is_made_once)
{
	ck_assert_int_eq(make(INODE_ROOT, "f", S_IFREG | 0600), 0);
	ck_assert_int_eq(make(INODE_ROOT, "f", S_IFREG | 0600), -EEXIST);
	ck_assert_int_eq(make(INODE_ROOT, "f", S_IFDIR | 0700), -EEXIST);
	ck_assert_int_eq(make(INODE_ROOT, "g", 0600), -EINVAL);
	ck_assert_int_eq(make(INODE_ROOT, "", S_IFREG | 0600), -EINVAL);
	ck_assert_int_eq(make(INODE_ROOT, ".", S_IFREG | 0600), -EINVAL);
	ck_assert_int_eq(make(INODE_ROOT, "a/b", S_IFREG | 0600), -EINVAL);
}
END_TEST

START_TEST(a_name_of_256_bytes_is_too_long_for_every_call)
{
	char name[257];
	struct fs_attr attr;
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);

	memset(name, 'n', 256);
	name[256] = 0;
	ck_assert_int_eq(make(INODE_ROOT, name, S_IFREG | 0600), -ENAMETOOLONG);
	ck_assert_int_eq(lookup(INODE_ROOT, name), -ENAMETOOLONG);
	ck_assert_int_eq(fs_link(i.fs, ino, INODE_ROOT, name, &attr), -ENAMETOOLONG);
	ck_assert_int_eq(rename_to("f", name, 0), -ENAMETOOLONG);
	ck_assert_int_eq(rename_to(name, "f", 0), -ENAMETOOLONG);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, name), -ENAMETOOLONG);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, name), -ENAMETOOLONG);
	name[255] = 0;
	ck_assert_int_eq(rename_to("f", name, 0), 0);
	ck_assert_int_eq(lookup(INODE_ROOT, name), 0);
}
END_TEST

/* A file handle is opened by looking up "." in the inode with its number. */
START_TEST(an_inode_of_any_type_is_found_as_dot_in_itself)
{
	const uint32_t modes[] = {S_IFREG | 0600, S_IFDIR | 0700, S_IFIFO | 0600, S_IFCHR | 0600};
	uint64_t ino = image_make(&i, INODE_ROOT, "x", modes[_i]);
	struct fs_attr attr;

	ck_assert_int_eq(fs_lookup(i.fs, ino, ".", &attr), 0);
	ck_assert_uint_eq(attr.ino, ino);
	ck_assert_uint_eq(attr.mode, modes[_i]);
	fs_forget(i.fs, ino, 2);
	ck_assert_int_eq(fs_lookup(i.fs, ino, ".", &attr), 0);
	fs_forget(i.fs, ino, 1);
	ck_assert_int_eq(S_ISDIR(modes[_i]) ? fs_rmdir(i.fs, INODE_ROOT, "x")
					    : fs_unlink(i.fs, INODE_ROOT, "x"),
			 0);
	ck_assert_int_eq(fs_lookup(i.fs, ino, ".", &attr), -ESTALE);
}
END_TEST

START_TEST(a_file_is_no_directory)
{
	struct fs_attr attr;
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	uint64_t dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);

	ck_assert_int_eq(make(ino, "x", S_IFREG | 0600), -ENOTDIR);
	ck_assert_int_eq(lookup(ino, "x"), -ENOTDIR);
	ck_assert_int_eq(lookup(ino, ".."), -ENOTDIR);
	ck_assert_int_eq(fs_unlink(i.fs, ino, "x"), -ENOTDIR);
	ck_assert_int_eq(fs_link(i.fs, ino, ino, "x", &attr), -ENOTDIR);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "f", ino, "x"}, 0),
			 -ENOTDIR);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){ino, "f", INODE_ROOT, "x"}, 0),
			 -ENOTDIR);
	ck_assert_int_eq(fs_readdir(i.fs, ino, 0, NULL, NULL), -ENOTDIR);
	ck_assert_int_eq(fs_link(i.fs, dir, INODE_ROOT, "x", &attr), -EPERM);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "d"), -EISDIR);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "f"), -ENOTDIR);
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
	uint64_t dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	struct fs_attr attr;

	ck_assert_int_eq(lookup(INODE_ROOT, "x"), -ENOENT);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "x"), -ENOENT);
	ck_assert_int_eq(fs_rmdir(i.fs, dir, "x"), -ENOENT);
	ck_assert_int_eq(rename_to("x", "y", 0), -ENOENT);
	ck_assert_int_eq(rename_to("d", "y", RENAME_EXCHANGE), -ENOENT);
	ck_assert_int_eq(fs_lookup(i.fs, 9999, "x", &attr), -ESTALE);
	ck_assert_int_eq(rename_to("d", "y", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
	ck_assert_int_eq(rename_to("d", "y", 1u << 5), -EINVAL);
}
END_TEST

START_TEST(a_directory_with_names_in_it_stays)
{
	uint64_t dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);

	image_make(&i, INODE_ROOT, "e", S_IFDIR | 0700);
	ck_assert_int_eq(make(dir, "x", S_IFREG | 0600), 0);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "d"), -ENOTEMPTY);
	ck_assert_int_eq(rename_to("e", "d", 0), -ENOTEMPTY);
	ck_assert_int_eq(rename_to("d", "e", 0), 0);
	ck_assert_int_eq(lookup(INODE_ROOT, "d"), -ENOENT);
	ck_assert_int_eq(lookup(dir, "x"), 0);
	ck_assert_uint_eq(image_attr(&i, INODE_ROOT).nlink, 3);
}
END_TEST

START_TEST(a_directory_does_not_move_below_itself)
{
	uint64_t a = image_make(&i, INODE_ROOT, "a", S_IFDIR | 0700);
	uint64_t b = image_make(&i, a, "b", S_IFDIR | 0700);
	uint64_t c = image_make(&i, b, "c", S_IFDIR | 0700);

	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "a", a, "x"}, 0), -EINVAL);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "a", c, "x"}, 0), -EINVAL);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){a, "b", c, "x"}, 0), -EINVAL);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){b, "c", INODE_ROOT, "a"}, RENAME_EXCHANGE),
		-EINVAL);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){b, "c", INODE_ROOT, "a"}, 0),
			 -ENOTEMPTY);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){b, "c", INODE_ROOT, "x"}, 0), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "a", c, "x"}, 0), 0);
	ck_assert_uint_eq(image_lookup(&i, a, ".."), c);
}
END_TEST

START_TEST(two_names_of_one_inode_stay_when_one_is_renamed_to_the_other)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	struct fs_attr attr;

	ck_assert_int_eq(fs_link(i.fs, ino, INODE_ROOT, "g", &attr), 0);
	ck_assert_int_eq(rename_to("f", "g", 0), 0);
	ck_assert_int_eq(rename_to("f", "g", RENAME_EXCHANGE), 0);
	ck_assert_int_eq(rename_to("f", "f", 0), 0);
	ck_assert_int_eq(rename_to("f", "f", RENAME_NOREPLACE), -EEXIST);
	ck_assert_uint_eq(image_attr(&i, ino).nlink, 2);
	ck_assert_int_eq(lookup(INODE_ROOT, "f"), 0);
	ck_assert_int_eq(lookup(INODE_ROOT, "g"), 0);
}
END_TEST

START_TEST(an_exchange_swaps_directories_between_directories)
{
	uint64_t a = image_make(&i, INODE_ROOT, "a", S_IFDIR | 0700);
	uint64_t b = image_make(&i, INODE_ROOT, "b", S_IFDIR | 0700);
	uint64_t dir = image_make(&i, a, "x", S_IFDIR | 0700);
	uint64_t file = image_make(&i, b, "y", S_IFREG | 0600);

	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){a, "x", b, "y"}, RENAME_EXCHANGE), 0);
	ck_assert_uint_eq(image_lookup(&i, a, "x"), file);
	ck_assert_uint_eq(image_lookup(&i, b, "y"), dir);
	ck_assert_uint_eq(image_lookup(&i, dir, ".."), b);
	ck_assert_uint_eq(image_attr(&i, a).nlink, 2);
	ck_assert_uint_eq(image_attr(&i, b).nlink, 3);
}
END_TEST

START_TEST(a_setgid_directory_hands_down_its_group)
{
	struct fs_new what = {.mode = S_IFDIR | 02750, .uid = 5, .gid = 50};
	struct fs_attr dir, sub, file;

	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "d", &what, &dir), 0);
	what = (struct fs_new){.mode = S_IFDIR | 0700, .uid = 6, .gid = 60};
	ck_assert_int_eq(fs_make(i.fs, dir.ino, "sub", &what, &sub), 0);
	ck_assert_uint_eq(sub.mode, S_IFDIR | 02700);
	ck_assert_uint_eq(sub.gid, 50);
	ck_assert_uint_eq(sub.uid, 6);
	what.mode = S_IFREG | 0640;
	ck_assert_int_eq(fs_make(i.fs, sub.ino, "file", &what, &file), 0);
	ck_assert_uint_eq(file.mode, S_IFREG | 0640);
	ck_assert_uint_eq(file.gid, 50);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "file", &what, &file), 0);
	ck_assert_uint_eq(file.gid, 60);
}
END_TEST

/* The sticky bit is a permission, and as such the kernel's; it has to come back as it was set. */
START_TEST(all_twelve_mode_bits_are_kept)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "d", S_IFDIR | 01777);
	struct fs_attr attr = {.mode = 07777};

	ck_assert_uint_eq(image_attr(&i, ino).mode, S_IFDIR | 01777);
	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_MODE, &attr), 0);
	fs_forget(i.fs, ino, 1);
	image_remount(&i);
	ck_assert_uint_eq(image_attr(&i, ino).mode, S_IFDIR | 07777);
}
END_TEST

static void set_nlink(uint64_t ino, uint32_t nlink)
{
	struct inode *inode;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	inode->nlink = nlink;
	inode_put(inode);
}

START_TEST(links_end_at_the_limit)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	uint64_t dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	struct fs_attr attr;

	image_make(&i, INODE_ROOT, "e", S_IFDIR | 0700);
	image_make(&i, dir, "file", S_IFREG | 0600);
	set_nlink(ino, NLINK_MAX);
	set_nlink(dir, NLINK_MAX);
	ck_assert_int_eq(fs_link(i.fs, ino, INODE_ROOT, "g", &attr), -EMLINK);
	ck_assert_int_eq(lookup(INODE_ROOT, "g"), -ENOENT);
	ck_assert_int_eq(make(dir, "x", S_IFDIR | 0700), -EMLINK);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "e", dir, "e"}, 0),
			 -EMLINK);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "e", dir, "file"}, RENAME_EXCHANGE),
		-EMLINK);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){dir, "file", INODE_ROOT, "e"}, RENAME_EXCHANGE),
		-EMLINK);
	ck_assert_int_eq(make(dir, "x", S_IFREG | 0600), 0);
	set_nlink(ino, 1);
	set_nlink(dir, 2);
	/* what was stored meanwhile had the false number */
	ck_assert_int_eq(make(dir, "y", S_IFREG | 0600), 0);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "f"), 0);
}
END_TEST

/* Times */

static void make_old(uint64_t ino)
{
	struct fs_attr attr = {.atime.tv_sec = OLD, .mtime.tv_sec = OLD, .ctime.tv_sec = OLD};

	ck_assert_int_eq(
		fs_setattr(i.fs, ino, &attr, FS_SET_ATIME | FS_SET_MTIME | FS_SET_CTIME, &attr), 0);
}

/* "mc": those of mtime and ctime that became now; the atime never does. */
static void assert_times(uint64_t ino, const char *changed)
{
	struct fs_attr attr = image_attr(&i, ino);

	ck_assert_int_eq(attr.mtime.tv_sec != OLD, strchr(changed, 'm') != NULL);
	ck_assert_int_eq(attr.ctime.tv_sec != OLD, strchr(changed, 'c') != NULL);
	ck_assert_int_eq(attr.atime.tv_sec, OLD);
	make_old(ino);
}

START_TEST(names_change_the_times_that_posix_says)
{
	uint64_t d = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	uint64_t e = image_make(&i, INODE_ROOT, "e", S_IFDIR | 0700);
	uint64_t f = image_make(&i, d, "f", S_IFREG | 0600);
	uint64_t g = image_make(&i, e, "g", S_IFREG | 0600);
	const uint64_t all[] = {d, e, f, g};
	struct fs_attr attr;

	for (unsigned n = 0; n < 4; n++)
		make_old(all[n]);
	ck_assert_int_eq(fs_link(i.fs, f, e, "l", &attr), 0);
	assert_times(f, "c");
	assert_times(e, "mc");
	assert_times(d, "");
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){d, "f", d, "h"}, 0), 0);
	assert_times(f, "c");
	assert_times(d, "mc");
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){d, "h", e, "l"}, 0),
			 0); /* the same inode: nothing */
	assert_times(f, "");
	assert_times(d, "");
	assert_times(e, "");
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){d, "h", e, "g"}, 0), 0);
	assert_times(f, "c");
	assert_times(g, "c");
	assert_times(d, "mc");
	assert_times(e, "mc");
	ck_assert_int_eq(fs_unlink(i.fs, e, "l"), 0);
	assert_times(f, "c");
	assert_times(e, "mc");
	ck_assert_int_eq(make(d, "new", S_IFDIR | 0700), 0);
	assert_times(d, "mc");
	ck_assert_int_eq(fs_rmdir(i.fs, d, "new"), 0);
	assert_times(d, "mc");
	ck_assert_int_eq(make(d, "g/x", S_IFREG | 0600), -EINVAL);
	ck_assert_int_eq(fs_unlink(i.fs, d, "absent"), -ENOENT);
	assert_times(d, "");
}
END_TEST

START_TEST(contents_change_the_times_that_posix_says)
{
	uint64_t f = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	struct fs_attr attr = {.size = 1};

	make_old(f);
	image_write(&i, f, 0, "x", 1);
	assert_times(f, "mc");
	ck_assert_int_eq(fs_write(i.fs, f, 0, "x", 0), 0);
	assert_times(f, "");
	ck_assert_int_eq(fs_setattr(i.fs, f, &attr, FS_SET_SIZE, &attr), 0); /* the same size */
	assert_times(f, "mc");
	attr.mode = 0644;
	ck_assert_int_eq(fs_setattr(i.fs, f, &attr, FS_SET_MODE, &attr), 0);
	assert_times(f, "c");
	ck_assert_int_eq(fs_setattr(i.fs, f, &attr, 0, &attr), 0);
	assert_times(f, "");
}
END_TEST

START_TEST(a_new_name_has_one_time_for_all)
{
	struct fs_attr dir, file;
	uint64_t ino;

	make_old(INODE_ROOT);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	file = image_attr(&i, ino);
	dir = image_attr(&i, INODE_ROOT);
	ck_assert_mem_eq(&file.mtime, &file.btime, sizeof(file.mtime));
	ck_assert_mem_eq(&file.ctime, &file.btime, sizeof(file.mtime));
	ck_assert_mem_eq(&file.atime, &file.btime, sizeof(file.mtime));
	ck_assert_mem_eq(&dir.mtime, &file.btime, sizeof(file.mtime));
}
END_TEST

static int rename_whiteout(const char *from, const char *to, unsigned flags)
{
	const struct fs_names names = {INODE_ROOT, from, INODE_ROOT, to};

	return fs_rename_whiteout(i.fs, &names, flags, 5, 6);
}

/* And nothing else about the device. */
static void assert_whiteout(const char *name)
{
	struct fs_attr attr;

	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, name, &attr), 0);
	ck_assert_uint_eq(attr.mode, S_IFCHR);
	ck_assert_uint_eq(attr.rdev_major, 0);
	ck_assert_uint_eq(attr.rdev_minor, 0);
	ck_assert_uint_eq(attr.nlink, 1);
	ck_assert_uint_eq(attr.uid, 5);
	ck_assert_uint_eq(attr.gid, 6);
	fs_forget(i.fs, attr.ino, 1);
}

START_TEST(a_whiteout_takes_the_old_name)
{
	uint64_t file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	uint64_t dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	uint32_t nlink = image_attr(&i, INODE_ROOT).nlink;

	ck_assert_int_eq(make(INODE_ROOT, "other", S_IFREG | 0600), 0);
	ck_assert_int_eq(rename_whiteout("none", "moved", 0), -ENOENT);
	ck_assert_int_eq(rename_whiteout("file", "other", RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(rename_whiteout("file", "other", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(rename_whiteout("dir", "file", 0), -ENOTDIR);
	ck_assert_int_eq(rename_whiteout("file", "moved", RENAME_NOREPLACE), 0);
	assert_whiteout("file");
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "moved"), file);
	/* over another */
	ck_assert_int_eq(rename_whiteout("moved", "other", 0), 0);
	assert_whiteout("moved");
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "other"), file);
	/* a directory too, and over a whiteout */
	ck_assert_int_eq(rename_whiteout("dir", "gone", 0), 0);
	assert_whiteout("dir");
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "gone"), dir);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "other", INODE_ROOT, "file"}, 0), 0);
	ck_assert_uint_eq(image_attr(&i, INODE_ROOT).nlink, nlink);
	/* both names one file's: nothing is done */
	ck_assert_int_eq(rename_whiteout("file", "file", 0), 0);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), file);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("namei");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_name_is_made_once);
	tcase_add_test(tc, a_name_of_256_bytes_is_too_long_for_every_call);
	tcase_add_loop_test(tc, an_inode_of_any_type_is_found_as_dot_in_itself, 0, 4);
	tcase_add_test(tc, a_file_is_no_directory);
	tcase_add_test(tc, what_is_not_there_is_not_found);
	tcase_add_test(tc, a_directory_with_names_in_it_stays);
	tcase_add_test(tc, a_directory_does_not_move_below_itself);
	tcase_add_test(tc, two_names_of_one_inode_stay_when_one_is_renamed_to_the_other);
	tcase_add_test(tc, an_exchange_swaps_directories_between_directories);
	tcase_add_test(tc, a_setgid_directory_hands_down_its_group);
	tcase_add_test(tc, all_twelve_mode_bits_are_kept);
	tcase_add_test(tc, links_end_at_the_limit);
	tcase_add_test(tc, names_change_the_times_that_posix_says);
	tcase_add_test(tc, contents_change_the_times_that_posix_says);
	tcase_add_test(tc, a_new_name_has_one_time_for_all);
	tcase_add_test(tc, a_whiteout_takes_the_old_name);
	return image_run("namei", cases);
}
