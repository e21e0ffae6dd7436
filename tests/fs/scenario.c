/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scenario.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs.h"
#include "fsck.h"
#include "itable.h"
#include "mkfs.h"

#define ROOT	  1
#define NR_KEPT	  12
#define KEPT_SIZE 5000
#define NR_PIECES 40

static int note(struct scenario *s, const char *call, int r)
{
	static const int may_be[] = {-EIO, -ENOMEM, -ENOENT, -ENOTEMPTY, -ESTALE, -EROFS, -ENODATA};

	if (r >= 0)
		return r;
	s->nr_errors++;
	if (!s->first_error) {
		s->first_error = r;
		s->first_call = call;
	}
	for (unsigned n = 0; n < sizeof(may_be) / sizeof(may_be[0]); n++) {
		if (may_be[n] == r)
			return r;
	}
	s->odd_call = call;
	s->odd_error = r;
	return r;
}

/* The number of what was made or found, or 0. */
static uint64_t make(struct scenario *s, struct fs *fs, uint64_t dir, const char *name,
		     uint32_t mode)
{
	const struct fs_new what = {.mode = mode, .target = "where to"};
	struct fs_attr attr;

	if (!dir || note(s, "make", fs_make(fs, dir, name, &what, &attr)) < 0)
		return 0;
	return attr.ino;
}

static uint64_t find(struct scenario *s, struct fs *fs, uint64_t dir, const char *name)
{
	struct fs_attr attr;

	if (!dir || note(s, "lookup", fs_lookup(fs, dir, name, &attr)) < 0)
		return 0;
	return attr.ino;
}

static void write_at(struct scenario *s, struct fs *fs, uint64_t ino, uint64_t offset,
		     const void *data, size_t size)
{
	if (ino)
		note(s, "write", (int)fs_write(fs, ino, offset, data, size));
}

static void kept_name(char name[32], unsigned n)
{
	snprintf(name, 32, "kept file number %u", n);
}

static void kept_data(uint8_t data[KEPT_SIZE], unsigned n)
{
	for (unsigned k = 0; k < KEPT_SIZE; k++)
		data[k] = (uint8_t)(k * 7 + n);
}

/* Small, inline and larger ones, in a directory that nothing touches any more. */
static void make_kept(struct scenario *s, struct fs *fs)
{
	uint64_t dir = make(s, fs, ROOT, "kept", S_IFDIR | 0755);
	uint8_t data[KEPT_SIZE];
	char name[32];

	for (unsigned n = 0; n < NR_KEPT; n++) {
		kept_name(name, n);
		kept_data(data, n);
		write_at(s, fs, make(s, fs, dir, name, S_IFREG | 0644), 0, data,
			 n % 3 ? KEPT_SIZE : 100);
	}
}

static void set_xattr(struct scenario *s, struct fs *fs, uint64_t ino, const char *name,
		      size_t size)
{
	static const uint8_t value[20000] = "value";

	if (ino)
		note(s, "setxattr", fs_setxattr(fs, ino, &(struct fs_xattr){name, value, size}, 0));
}

/* Of a directory: what is made in it has a block for its own. */
static void set_acl(struct scenario *s, struct fs *fs, uint64_t dir)
{
	uint8_t acl[4 + 8 * 24] = {2, [4] = 1, [6] = 7};

	for (unsigned n = 1; n < 21; n++)
		acl[4 + 8 * n] = 2;
	acl[4 + 8 * 21] = 4;
	acl[4 + 8 * 22] = 0x10;
	acl[4 + 8 * 23] = 0x20;
	if (dir)
		note(s, "setxattr",
		     fs_setxattr(fs, dir,
				 &(struct fs_xattr){"system.posix_acl_default", acl, sizeof(acl)},
				 0));
}

static void change_xattrs(struct scenario *s, struct fs *fs, uint64_t ino)
{
	char list[1000], value[20000];

	set_xattr(s, fs, ino, "user.small", 300);
	set_xattr(s, fs, ino, "user.large", 20000);
	set_xattr(s, fs, ino, "user.new", 3000);
	note(s, "removexattr", fs_removexattr(fs, ino, "user.more"));
	note(s, "listxattr", (int)fs_listxattr(fs, ino, list, sizeof(list)));
	note(s, "getxattr", (int)fs_getxattr(fs, ino, "user.large", value, sizeof(value)));
}

static void make_work(struct scenario *s, struct fs *fs)
{
	uint64_t dir = make(s, fs, ROOT, "work", S_IFDIR | 0755);
	uint64_t big = make(s, fs, dir, "big", S_IFREG | 0644);
	char name[200] = {0};

	for (uint64_t n = 0; n < NR_PIECES; n++)
		write_at(s, fs, big, n * 3000, "piece", 5);
	for (unsigned n = 0; n < 20; n++) {
		memset(name, 'a' + (int)n, sizeof(name) - 1);
		make(s, fs, dir, name, S_IFREG | 0644);
	}
	set_xattr(s, fs, big, "user.small", 30);
	set_xattr(s, fs, big, "user.large", 9000);
	set_xattr(s, fs, big, "user.more", 900);
	make(s, fs, dir, "link", S_IFLNK | 0777);
	make(s, fs, dir, "sub", S_IFDIR | 0755);
	make(s, fs, dir, "empty", S_IFDIR | 0755);
}

static void change_names(struct scenario *s, struct fs *fs, uint64_t dir)
{
	uint64_t sub = find(s, fs, dir, "sub");
	struct fs_names whiteout = {.old_dir = dir, .new_dir = dir, .new_name = "link"};
	const struct fs_new nameless = {.mode = S_IFREG | 0600};
	struct fs_attr attr;
	char name[200] = {0};

	memset(name, 'a', sizeof(name) - 1);
	if (sub)
		note(s, "rename", fs_rename(fs, &(struct fs_names){dir, name, sub, "moved"}, 0));
	memset(name, 'b', sizeof(name) - 1);
	note(s, "rename", fs_rename(fs, &(struct fs_names){dir, name, dir, "link"}, 0));
	memset(name, 'c', sizeof(name) - 1);
	if (sub)
		note(s, "rename",
		     fs_rename(fs, &(struct fs_names){dir, name, dir, "sub"}, RENAME_EXCHANGE));
	for (unsigned n = 3; n < 15; n++) {
		memset(name, 'a' + (int)n, sizeof(name) - 1);
		note(s, "unlink", fs_unlink(fs, dir, name));
	}
	memset(name, 'p', sizeof(name) - 1);
	whiteout.old_name = name;
	note(s, "whiteout", fs_rename_whiteout(fs, &whiteout, 0, 0, 0));
	if (note(s, "nameless", fs_make_nameless(fs, dir, &nameless, &attr)) == 0)
		note(s, "link", fs_link(fs, attr.ino, dir, "named after all", &attr));
	note(s, "rmdir", fs_rmdir(fs, dir, "empty"));
	if (note(s, "lookup", fs_lookup(fs, dir, "big", &attr)) == 0)
		note(s, "link", fs_link(fs, attr.ino, ROOT, "big too", &attr));
}

/* Of a file with a tree of extents: blocks where it has holes, holes where it has blocks, and none of both. */
static void change_space(struct scenario *s, struct fs *fs, uint64_t big)
{
	note(s, "preallocate", fs_fallocate(fs, big, FALLOC_FL_KEEP_SIZE, 15000, 30000));
	note(s, "punch",
	     fs_fallocate(fs, big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2500, 5000));
	note(s, "zero", fs_fallocate(fs, big, FALLOC_FL_ZERO_RANGE, 700, 12000));
}

/* What concerns all of it; and from here on what is done to dir and big is durable at once. */
static void administer(struct scenario *s, struct fs *fs, uint64_t dir, uint64_t big)
{
	const struct fs_trim all = {.size_bytes = UINT64_MAX};
	uint64_t bytes;

	note(s, "set label", fs_set_label(fs, "label"));
	note(s, "trim", fs_trim(fs, &all, &bytes));
	note(s, "set flags", fs_set_flags(fs, dir, FS_DIRSYNC_FL, 5));
	if (big)
		note(s, "set flags", fs_set_flags(fs, big, FS_SYNC_FL, 5));
}

static int see(void *context, const struct fs_dirent *e)
{
	return 0;
}

static void use(struct scenario *s, struct fs *fs)
{
	uint64_t dir = find(s, fs, ROOT, "work"), big = find(s, fs, dir, "big");
	struct fs_attr attr = {.size = 20000};
	struct fs_statfs statfs;
	char data[10000];

	if (!dir)
		return;
	note(s, "readdir", fs_readdir(fs, dir, 0, see, NULL));
	administer(s, fs, dir, big);
	if (big) {
		note(s, "read", (int)fs_read(fs, big, 1000, data, sizeof(data)));
		note(s, "setattr", fs_setattr(fs, big, &attr, FS_SET_SIZE, &attr));
		memset(data, 'n', sizeof(data));
		write_at(s, fs, big, 500, data, sizeof(data));
		change_space(s, fs, big);
	}
	if (big)
		change_xattrs(s, fs, big);
	set_acl(s, fs, dir);
	change_names(s, fs, dir);
	if (big) {
		fs_forget(fs, big, 1);
		note(s, "fsync", fs_fsync(fs, dir, false));
	}
	make(s, fs, dir, "a new one", S_IFREG | 0600);
	fs_statfs(fs, &statfs);
}

static struct fs *mount(struct scenario *s)
{
	struct fs_options o;
	struct fs *fs;

	fs_options_init(&o);
	o.commit_ms = 0;
	o.cache_bytes = 1 << 20;
	if (note(s, "mount", fs_mount(s->engine, &o, &fs)) < 0)
		return NULL;
	if (s->no_idle)
		fs->inodes->max_idle = 0;
	return fs;
}

static bool unmount(struct scenario *s, struct fs *fs)
{
	int r = note(s, "unmount", fs_unmount(fs));

	s->unmount_error = r;
	return r == 0;
}

void scenario_run(struct scenario *s)
{
	const struct mkfs_options mkfs = {.block_bytes = 1024, .hash_seed = 3, .uuid = {9}};
	struct geometry geo;
	struct fs *fs;
	bool synced;

	if (note(s, "mkfs", mkfs_format(s->engine, &mkfs, &geo)) < 0)
		return;
	s->formatted = true;
	fs = mount(s);
	if (!fs)
		return;
	make_kept(s, fs);
	synced = note(s, "sync", fs_sync(fs)) == 0;
	s->synced = synced && !s->failing(s->context);
	make_work(s, fs);
	if (!unmount(s, fs))
		return;
	fs = mount(s);
	if (!fs)
		return;
	use(s, fs);
	unmount(s, fs);
}

/* Judging */

static void print_problem(void *context, const struct check_problem *p)
{
	printf("%s: %s\n", p->code, p->text);
	fflush(stdout);
}

static void verify_kept(struct scenario *s)
{
	uint8_t data[KEPT_SIZE], want[KEPT_SIZE];
	struct fs_attr dir, file;
	struct fs *fs = mount(s);
	char name[32];

	ck_assert_ptr_nonnull(fs);
	if (s->synced)
		ck_assert_int_eq(fs_lookup(fs, ROOT, "kept", &dir), 0);
	for (unsigned n = 0; s->synced && n < NR_KEPT; n++) {
		int size = n % 3 ? KEPT_SIZE : 100;

		kept_name(name, n);
		kept_data(want, n);
		ck_assert_int_eq(fs_lookup(fs, dir.ino, name, &file), 0);
		ck_assert_int_eq(fs_read(fs, file.ino, 0, data, KEPT_SIZE), size);
		ck_assert_mem_eq(data, want, (size_t)size);
	}
	/* and it can be used again */
	ck_assert(make(s, fs, ROOT, "after all", S_IFREG | 0600) != 0);
	ck_assert_int_eq(fs_unmount(fs), 0);
}

static void check_clean(struct scenario *s)
{
	const struct check_options o = {.mode = CHECK_REPORT, .problem = print_problem};
	struct check_result result;

	ck_assert_int_eq(check_fs(s->engine, &o, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

void scenario_verify(struct scenario *s)
{
	const struct check_options repair = {.mode = CHECK_REPAIR};
	struct check_result result;
	int r;

	ck_assert_msg(!s->odd_call, "%s: %d", s->odd_call, s->odd_error);
	/* an unmount that says nothing leaves nothing to do */
	if (s->formatted && !s->unmount_error && !s->nr_errors)
		check_clean(s);
	r = check_fs(s->engine, &repair, &result);
	if (!s->formatted && r < 0)
		return;
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(result.problems, result.repaired);
	check_clean(s);
	verify_kept(s);
	check_clean(s);
}
