/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes: in the tail, in blocks, with values of their own blocks; and a full filesystem. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fsck.h"
#include "inode.h"
#include "xattr.h"
#include "xattr_fixture.h"

#define SIZE (UINT64_C(16) << 20)

static struct image i;
static char list[XATTR_LIST_BYTES];

static const unsigned sizes[] = {0,   1,    44,	  112,	113,  464,  465,  466,	 976,
				 977, 1953, 2000, 2024, 4048, 4049, 9000, 65535, 65536};
#define NR_SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

static const unsigned block_bytes[] = {1024, 4096, 65536};

static void set(uint64_t ino, const char *name, unsigned size, uint8_t seed)
{
	fill(size, seed);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){name, value, size}, 0), 0);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

START_TEST(a_value_of_any_size_comes_back_and_goes)
{
	unsigned size = sizes[_i % NR_SIZES];
	struct fs_statfs before;
	uint64_t ino;

	image_init_mounted(&i, SIZE * 2, block_bytes[_i / NR_SIZES]);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	before = image_statfs(&i);
	set(ino, "user.name", size, 3);
	expect(&i, ino, "user.name", size, 3);
	if (size)
		ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.name", back, size - 1),
				 size > 1 ? -ERANGE : (int)size);
	fs_forget(i.fs, ino, 1);
	check_after_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
	expect(&i, ino, "user.name", size, 3);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.name"), 0);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.name", NULL, 0), -ENODATA);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.name"), -ENODATA);
	image_settle(&i);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	ck_assert_uint_eq(image_attr(&i, ino).blocks, 0);
	finish();
}
END_TEST

START_TEST(any_value_replaces_any_other)
{
	image_init_mounted(&i, SIZE, 1024);
	for (int to = 0; to < NR_SIZES; to++) {
		uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);

		set(ino, "user.before", 30, 1);
		set(ino, "user.name", sizes[_i], 2);
		set(ino, "user.behind", 300, 3);
		set(ino, "user.name", sizes[to], 4);
		expect(&i, ino, "user.before", 30, 1);
		expect(&i, ino, "user.name", sizes[to], 4);
		expect(&i, ino, "user.behind", 300, 3);
		check_after_remount(&i);
		expect(&i, image_lookup(&i, INODE_ROOT, "f"), "user.name", sizes[to], 4);
		image_unlink(&i, INODE_ROOT, "f");
		fs_forget(i.fs, ino, 1);
	}
	finish();
}
END_TEST

START_TEST(flags_say_whether_it_may_or_must_be_there)
{
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "1", 1}, XATTR_REPLACE),
		-ENODATA);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "1", 1}, XATTR_CREATE),
			 0);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "2", 1}, XATTR_CREATE),
			 -EEXIST);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.a", back, 1), 1);
	ck_assert_int_eq(back[0], '1');
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "3", 1}, XATTR_REPLACE), 0);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.a", back, 1), 1);
	ck_assert_int_eq(back[0], '3');
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "3", 1}, 64), -EINVAL);
	finish();
}
END_TEST

START_TEST(names_that_cannot_be_are_refused)
{
	char name[300] = "user.";
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.", "1", 1}, 0), -EINVAL);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"users.a", "1", 1}, 0),
			 -EOPNOTSUPP);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"system.other", "1", 1}, 0),
			 -EOPNOTSUPP);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"system.posix_acl_accessx", "1", 1}, 0),
		-EOPNOTSUPP);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "name", NULL, 0), -EOPNOTSUPP);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, ""), -EOPNOTSUPP);
	memset(name + 5, 'n', 251);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){name, "1", 1}, 0), -ERANGE);
	name[255] = '\0';
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){name, "1", 1}, 0), 0);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, name, NULL, 0), 1);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", value, XATTR_VALUE_MAX + 1}, 0),
		-E2BIG);
	finish();
}
END_TEST

START_TEST(a_kind_of_inode_has_the_namespaces_it_may_have)
{
	static const uint32_t modes[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFSOCK};
	uint32_t mode = modes[_i];
	bool user = S_ISREG(mode) || S_ISDIR(mode);
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", mode | 0644);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", "1", 1}, 0),
			 user ? 0 : -EPERM);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"trusted.a", "22", 2}, 0), 0);
	set(ino, "security.a", 5000, 5);
	check_after_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.a", back, 1), user ? 1 : -ENODATA);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "trusted.a", back, 2), 2);
	expect(&i, ino, "security.a", 5000, 5);
	finish();
}
END_TEST

static bool is_listed(const char *name, ssize_t bytes)
{
	for (const char *p = list; p < list + bytes; p += strlen(p) + 1)
		if (!strcmp(p, name))
			return true;
	return false;
}

START_TEST(a_listing_has_all_names_or_does_not_fit)
{
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	ck_assert_int_eq(fs_listxattr(i.fs, ino, list, sizeof(list)), 0);
	set(ino, "user.one", 10, 1);
	set(ino, "trusted.two", 100, 1);
	set(ino, "security.three", 10000, 1);
	ck_assert_int_eq(fs_listxattr(i.fs, ino, NULL, 0), 9 + 12 + 15);
	ck_assert_int_eq(fs_listxattr(i.fs, ino, list, 35), -ERANGE);
	ck_assert_int_eq(fs_listxattr(i.fs, ino, list, 36), 36);
	ck_assert(is_listed("user.one", 36));
	ck_assert(is_listed("trusted.two", 36));
	ck_assert(is_listed("security.three", 36));
	finish();
}
END_TEST

static const char *numbered(unsigned n)
{
	static char name[64];

	snprintf(name, sizeof(name), "user.attribute number %u", n);
	return name;
}

START_TEST(many_names_come_and_go_in_any_order)
{
	enum { NR = 1000 };
	unsigned order[NR];
	uint64_t seed = 7, ino;
	struct fs_statfs before;

	image_init_mounted(&i, SIZE, _i ? 4096 : 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	before = image_statfs(&i);
	for (unsigned n = 0; n < NR; n++) {
		unsigned k = (unsigned)(image_random(&seed) % (n + 1));

		set(ino, numbered(n), n % 50, (uint8_t)n);
		order[n] = order[k];
		order[k] = n;
	}
	check_after_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	for (unsigned n = 0; n < NR; n++) {
		expect(&i, ino, numbered(order[n]), order[n] % 50, (uint8_t)order[n]);
		ck_assert_int_eq(fs_removexattr(i.fs, ino, numbered(order[n])), 0);
		if (n % 100 == 99) {
			check_after_remount(&i);
			ino = image_lookup(&i, INODE_ROOT, "f");
		}
	}
	ck_assert_int_eq(fs_listxattr(i.fs, ino, NULL, 0), 0);
	image_settle(&i);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(no_more_names_than_can_be_listed)
{
	unsigned n = 0;
	uint64_t ino;
	int r = 0;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	while (r == 0)
		r = fs_setxattr(i.fs, ino, &(struct fs_xattr){numbered(n++), "", 0}, 0);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_int_gt(fs_listxattr(i.fs, ino, list, sizeof(list)), 65536 - 64);
	/* what is there can change, and make room */
	set(ino, numbered(0), 5000, 1);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, numbered(1)), 0);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){numbered(1), "", 0}, 0), 0);
	finish();
}
END_TEST

/* The tail is shared: what is there stays, what comes goes elsewhere. */

START_TEST(a_file_in_the_tail_grows_past_its_attributes)
{
	uint8_t data[3000];
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	memset(data, 'd', sizeof(data));
	image_write(&i, ino, 0, data, 60);
	set(ino, "user.name", 50, 1);
	ck_assert_uint_eq(image_attr(&i, ino).blocks, 0);
	image_write(&i, ino, 0, data, _i ? 70 : sizeof(data));
	ck_assert_uint_eq(image_attr(&i, ino).blocks == 0, _i != 0);
	expect(&i, ino, "user.name", 50, 1);
	set(ino, "user.other", 60, 2);
	check_after_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	expect(&i, ino, "user.name", 50, 1);
	expect(&i, ino, "user.other", 60, 2);
	ck_assert_int_eq(fs_read(i.fs, ino, 0, back, sizeof(back)), _i ? 70 : sizeof(data));
	ck_assert_mem_eq(back, data, _i ? 70 : sizeof(data));
	ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.name"), 0);
	ck_assert_int_eq(fs_setattr(i.fs, ino, &(struct fs_attr){.size = 140}, FS_SET_SIZE,
				    &(struct fs_attr){0}),
			 0);
	ck_assert_int_eq(fs_read(i.fs, ino, 0, back, sizeof(back)), 140);
	ck_assert_int_eq(back[139], _i ? 0 : 'd');
	finish();
}
END_TEST

START_TEST(a_file_of_many_extents_leaves_its_attributes_in_the_tail)
{
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	for (unsigned n = 0; n < 12; n++) {
		image_write(&i, ino, n * 5000, "x", 1);
		if (n == 2)
			set(ino, "user.name", 70, 1);
	}
	set(ino, "user.other", 30, 2);
	expect(&i, ino, "user.name", 70, 1);
	check_after_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	expect(&i, ino, "user.name", 70, 1);
	expect(&i, ino, "user.other", 30, 2);
	for (unsigned n = 0; n < 12; n++)
		ck_assert_int_eq(fs_read(i.fs, ino, n * 5000, back, 1), 1);
	finish();
}
END_TEST

static int see_name(void *context, const struct fs_dirent *d)
{
	unsigned *seen = context;

	if (d->name[0] == 'n')
		*seen |= 1u << (d->name[1] - 'a');
	return 0;
}

/* Names in a directory before and after; which letters say. */
START_TEST(a_directory_in_the_tail_keeps_its_names)
{
	unsigned before = (unsigned)_i % 8, seen = 0, want = 0;
	char name[3] = "n";
	uint64_t dir;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	for (unsigned n = 0; n < 12; n++, want = want << 1 | 1) {
		if (n == before)
			set(dir, "user.name", 4 * (unsigned)(_i / 8), 1);
		name[1] = (char)('a' + n);
		image_make(&i, dir, name, S_IFREG | 0644);
		if (n == before + 1)
			check_after_remount(&i);
	}
	expect(&i, dir, "user.name", 4 * (unsigned)(_i / 8), 1);
	ck_assert_int_eq(fs_readdir(i.fs, dir, 0, see_name, &seen), 0);
	ck_assert_uint_eq(seen, want);
	for (unsigned n = 0; n < 12; n++) {
		name[1] = (char)('a' + (n * 5 + before) % 12);
		image_unlink(&i, dir, name);
		if (n == before)
			ck_assert_int_eq(fs_removexattr(i.fs, dir, "user.name"), 0);
		if (n > 8)
			set(dir, "user.another", 10, 2);
	}
	check_after_remount(&i);
	expect(&i, dir, "user.another", 10, 2);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "d"), 0);
	finish();
}
END_TEST

START_TEST(a_symlink_keeps_its_target)
{
	char target[200], name[200];
	uint64_t ino;
	struct fs_attr attr;

	memset(target, 't', sizeof(target));
	target[_i] = '\0';
	image_init_mounted(&i, SIZE, 1024);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "l",
				 &(struct fs_new){.mode = S_IFLNK | 0777, .target = target}, &attr),
			 0);
	ino = attr.ino;
	for (unsigned n = 0; n < 4; n++)
		set(ino, (snprintf(name, sizeof(name), "trusted.%u", n), name), 20, (uint8_t)n);
	check_after_remount(&i);
	ck_assert_int_eq(fs_readlink(i.fs, ino, (char *)back, sizeof(back)), _i);
	ck_assert_mem_eq(back, target, (size_t)_i);
	for (unsigned n = 0; n < 4; n++)
		expect(&i, ino, (snprintf(name, sizeof(name), "trusted.%u", n), name), 20,
		       (uint8_t)n);
	finish();
}
END_TEST

/* Around the attributes */

START_TEST(a_change_takes_its_time)
{
	const struct fs_attr old = {.ctime = {1, 1}, .mtime = {1, 1}};
	struct fs_attr attr;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	for (unsigned n = 0; n < 3; n++) {
		ck_assert_int_eq(fs_setattr(i.fs, ino, &old, FS_SET_CTIME | FS_SET_MTIME, &attr),
				 0);
		if (n < 2)
			set(ino, "user.a", 10 + n * 5000, 1);
		else
			ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.a"), 0);
		attr = image_attr(&i, ino);
		ck_assert_int_gt(attr.ctime.tv_sec, 1);
		ck_assert_int_eq(attr.mtime.tv_sec, 1);
	}
	/* one that is refused changes nothing */
	ck_assert_int_eq(fs_setattr(i.fs, ino, &old, FS_SET_CTIME, &attr), 0);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.a"), -ENODATA);
	ck_assert_int_eq(image_attr(&i, ino).ctime.tv_sec, 1);
	finish();
}
END_TEST

START_TEST(an_unlinked_file_has_them_until_it_is_forgotten)
{
	struct fs_statfs before;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	before = image_statfs(&i);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	set(ino, "user.a", 65536, 1);
	image_unlink(&i, INODE_ROOT, "f");
	expect(&i, ino, "user.a", 65536, 1);
	set(ino, "user.b", 100, 2);
	set(ino, "user.c", 400, 3);
	set(ino, "user.a", 30000, 4);
	expect(&i, ino, "user.a", 30000, 4);
	fs_forget(i.fs, ino, 1);
	image_settle(&i);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(an_absent_name_costs_no_read)
{
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
	image_count_from(&i, BUFIO_FAULT_ANY);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "security.capability", NULL, 0), -ENODATA);
	ck_assert_int_eq(fs_listxattr(i.fs, ino, list, sizeof(list)), 0);
	ck_assert_uint_eq(image_counted(&i), 0);
	finish();
}
END_TEST

/* On a full filesystem the old value stays, or all of the new one is there. */
START_TEST(a_value_without_space_leaves_the_old_one)
{
	static const uint8_t data[4096];
	uint64_t file, ino, at = 0;
	ssize_t n;

	image_init_mounted(&i, SIZE / 2, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	file = image_make(&i, INODE_ROOT, "big", S_IFREG | 0644);
	set(ino, "user.small", 40, 1);
	set(ino, "user.large", 20000, 2);
	while ((n = fs_write(i.fs, file, at, data, sizeof(data))) > 0)
		at += (uint64_t)n;
	ck_assert_int_eq(n, -ENOSPC);
	n = 0;
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.large", value, 65536}, 0),
			 -ENOSPC);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.small", value, 65536}, 0),
			 -ENOSPC);
	for (unsigned k = 0; n == 0; k++)
		n = fs_setxattr(i.fs, ino, &(struct fs_xattr){numbered(k), value, 300}, 0);
	ck_assert_int_eq(n, -ENOSPC);
	expect(&i, ino, "user.small", 40, 1);
	expect(&i, ino, "user.large", 20000, 2);
	check_after_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	ck_assert_int_eq(fs_removexattr(i.fs, ino, "user.large"), 0);
	set(ino, "user.third", 400, 3);
	expect(&i, ino, "user.third", 400, 3);
	expect(&i, ino, "user.small", 40, 1);
	finish();
}
END_TEST

/* Many single free blocks are room for a value of some blocks, but not for the largest. */
START_TEST(a_value_does_not_lie_in_crumbs)
{
	uint64_t ino, files[2], at = 0;
	ssize_t n = 1;

	image_init_mounted(&i, SIZE / 2, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	set(ino, "user.a", 3000, 1);
	files[0] = image_make(&i, INODE_ROOT, "0", S_IFREG | 0644);
	files[1] = image_make(&i, INODE_ROOT, "1", S_IFREG | 0644);
	for (unsigned k = 0; n > 0; k++, at += k % 2 ? 0 : 1024)
		n = fs_write(i.fs, files[k % 2], at, value, 1024);
	ck_assert_int_eq(n, -ENOSPC);
	image_unlink(&i, INODE_ROOT, "1");
	fs_forget(i.fs, files[1], 1);
	image_settle(&i);
	/* the blocks that were kept are one run */
	ck_assert_int_eq(fs_fallocate(i.fs, files[0], 0, at, i.fs->kept_blocks * 1024), 0);
	ck_assert_uint_gt(image_statfs(&i).free_blocks, 1000);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", value, 65536}, 0),
			 -ENOSPC);
	expect(&i, ino, "user.a", 3000, 1);
	set(ino, "user.a", 10000, 2);
	check_after_remount(&i);
	expect(&i, image_lookup(&i, INODE_ROOT, "f"), "user.a", 10000, 2);
	finish();
}
END_TEST

/* The first block of the value of a record in the tail. */
static uint64_t value_block_in_tail(uint64_t ino)
{
	struct xattr_record record;
	struct inode *inode;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(xattr_record_decode(inode->tail + inode_data_bytes(inode),
					     inode->xattr_bytes, &record),
			 0);
	ck_assert(record.external);
	inode_put(inode);
	return record.block;
}

static void map_first_block(uint64_t ino, uint64_t block)
{
	struct disk_extent *e;
	struct inode *inode;
	struct txn t;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	pthread_rwlock_wrlock(&inode->lock);
	ck_assert_uint_eq(inode->data_format, DATA_EXTENTS);
	e = (struct disk_extent *)inode->tail;
	e->physical = le48_make(block);
	ck_assert_int_eq(inode_store(&t, inode), 0);
	pthread_rwlock_unlock(&inode->lock);
	ck_assert_int_eq(txn_stop(&t), 0);
	inode_put(inode);
}

START_TEST(a_value_in_blocks_of_another_is_dropped_from_the_tail_too)
{
	const struct check_options repair = {.mode = CHECK_REPAIR};
	struct check_result result;
	uint64_t other, ino;

	image_init_mounted(&i, SIZE, 1024);
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0644);
	image_write(&i, other, 0, value, 1000);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	set(ino, "user.a", 3000, 1);
	map_first_block(other, value_block_in_tail(ino));
	image_unmount(&i);
	ck_assert_int_eq(check_fs(i.engine, &repair, &result), 0);
	ck_assert_uint_ne(result.problems, 0);
	ck_assert_uint_eq(result.problems, result.repaired);
	image_check(&i);
	image_mount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.a", NULL, 0), -ENODATA);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("xattr");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, a_value_of_any_size_comes_back_and_goes, 0, 3 * NR_SIZES);
	tcase_add_loop_test(tc, any_value_replaces_any_other, 0, NR_SIZES);
	tcase_add_test(tc, flags_say_whether_it_may_or_must_be_there);
	tcase_add_test(tc, names_that_cannot_be_are_refused);
	tcase_add_loop_test(tc, a_kind_of_inode_has_the_namespaces_it_may_have, 0, 6);
	tcase_add_test(tc, a_listing_has_all_names_or_does_not_fit);
	tcase_add_loop_test(tc, many_names_come_and_go_in_any_order, 0, 2);
	tcase_add_test(tc, no_more_names_than_can_be_listed);
	tcase_add_loop_test(tc, a_file_in_the_tail_grows_past_its_attributes, 0, 2);
	tcase_add_test(tc, a_file_of_many_extents_leaves_its_attributes_in_the_tail);
	tcase_add_loop_test(tc, a_directory_in_the_tail_keeps_its_names, 0, 8 * 32);
	tcase_add_loop_test(tc, a_symlink_keeps_its_target, 1, 150);
	tcase_add_test(tc, a_change_takes_its_time);
	tcase_add_test(tc, an_unlinked_file_has_them_until_it_is_forgotten);
	tcase_add_test(tc, an_absent_name_costs_no_read);
	tcase_add_test(tc, a_value_without_space_leaves_the_old_one);
	tcase_add_test(tc, a_value_does_not_lie_in_crumbs);
	tcase_add_test(tc, a_value_in_blocks_of_another_is_dropped_from_the_tail_too);
	return image_run("xattr", cases);
}
