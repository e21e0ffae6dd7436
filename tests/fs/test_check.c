/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check_fs() over an image with one of everything, broken in one place at a time: the damage is
 * found and named, a report changes no byte, one repair mends all, and the result can be mounted.
 */
#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "craft.h"
#include "damage.h"
#include "fsck.h"
#include "mkfs.h"
#include "open.h"
#include "super.h"

/* What a check said. */
struct heard {
	const char *wanted;
	bool found;
	char text[3000];
	struct check_result result;
};

static void hear(void *context, const struct check_problem *p)
{
	struct heard *h = context;
	size_t at = strlen(h->text);

	snprintf(h->text + at, sizeof(h->text) - at, "%s: %s\n", p->code, p->text);
	if (!h->wanted || !strcmp(h->wanted, p->code))
		h->found = true;
}

static void check(struct craft *c, enum check_mode mode, const char *wanted, struct heard *ret)
{
	struct check_options o = {.mode = mode, .problem = hear, .context = ret};

	memset(ret, 0, sizeof(*ret));
	ret->wanted = wanted;
	ck_assert_int_eq(check_fs(c->engine, &o, &ret->result), 0);
}

static uint8_t *snapshot(struct craft *c)
{
	size_t size = c->geo.nr_blocks << c->geo.block_shift;
	uint8_t *data = malloc(size);

	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(bufio_engine_mem_peek(c->engine, 0, data, size), 0);
	return data;
}

static void assert_unchanged(struct craft *c, uint8_t *before)
{
	uint8_t *after = snapshot(c);

	ck_assert_mem_eq(before, after, c->geo.nr_blocks << c->geo.block_shift);
	free(before);
	free(after);
}

#define MAX_FOUND 1024

struct walk {
	struct fs *fs;
	unsigned nr_files, nr_left;
	uint64_t dirs[64];
	struct fs_attr found[MAX_FOUND]; /* in the directory, not yet read */
	unsigned nr_found;
};

static void read_contents(struct fs *fs, const struct fs_attr *attr)
{
	char data[4096];
	ssize_t n = 1;

	if (S_ISLNK(attr->mode))
		ck_assert_int_gt(fs_readlink(fs, attr->ino, data, sizeof(data)), 0);
	if (!S_ISREG(attr->mode))
		return;
	for (uint64_t at = 0; at < (1 << 20) && n > 0; at += (uint64_t)n) {
		n = fs_read(fs, attr->ino, at, data, sizeof(data));
		ck_assert_int_ge(n, 0);
	}
}

static int walk_entry(void *context, const struct fs_dirent *e)
{
	struct walk *w = context;
	struct fs_attr attr;

	w->nr_files++;
	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	ck_assert_int_eq(fs_lookup_child(w->fs, e->ino, &attr), 0);
	ck_assert_uint_eq(attr.mode >> 12, e->type);
	if (e->type == 4) {
		ck_assert_uint_lt(w->nr_left, 64);
		w->dirs[w->nr_left++] = e->ino;
		return 0;
	}
	ck_assert_uint_lt(w->nr_found, MAX_FOUND);
	w->found[w->nr_found++] = attr;
	return 0;
}

/* Not while the directory is listed: a forgotten inode may start a transaction. */
static void read_found(struct walk *w)
{
	while (w->nr_found) {
		const struct fs_attr *attr = &w->found[--w->nr_found];

		read_contents(w->fs, attr);
		fs_forget(w->fs, attr->ino, 1);
	}
}

/* A new name finds space and, by its index, itself. */
static void use_dir(struct fs *fs, uint64_t dir)
{
	struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr made, found;

	/* chattr +i and +a survive a check */
	if (fs_getattr(fs, dir, &found) == 0 && found.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))
		return;
	ck_assert_int_eq(fs_make(fs, dir, "a new file with a name", &what, &made), 0);
	ck_assert_int_eq(fs_write(fs, made.ino, 5000, "x", 1), 1);
	ck_assert_int_eq(fs_lookup(fs, dir, "a new file with a name", &found), 0);
	ck_assert_uint_eq(made.ino, found.ino);
	ck_assert_int_eq(fs_unlink(fs, dir, "a new file with a name"), 0);
	fs_forget(fs, made.ino, 2);
}

/* It mounts, everything in it can be read, and every directory takes a new name. */
static void walk(struct craft *c)
{
	struct walk w = {.nr_left = 1, .dirs = {I_ROOT}};
	struct fs_options o;

	fs_options_init(&o);
	o.commit_ms = 0;
	ck_assert_int_eq(fs_mount(c->engine, &o, &w.fs), 0);
	while (w.nr_left) {
		uint64_t ino = w.dirs[--w.nr_left];

		ck_assert_int_eq(fs_readdir(w.fs, ino, 0, walk_entry, &w), 0);
		read_found(&w);
		use_dir(w.fs, ino);
		if (ino != I_ROOT)
			fs_forget(w.fs, ino, 1);
	}
	ck_assert_int_eq(fs_unmount(w.fs), 0);
}

static void assert_clean(struct craft *c)
{
	struct heard h;

	check(c, CHECK_REPORT, NULL, &h);
	ck_assert_msg(h.result.problems == 0, "left:\n%s", h.text);
}

START_TEST(a_good_image_has_no_problems)
{
	struct craft c;
	struct heard h;
	uint8_t *before;

	craft_create(&c);
	before = snapshot(&c);
	check(&c, CHECK_REPORT, NULL, &h);
	ck_assert_msg(h.result.problems == 0, "found:\n%s", h.text);
	ck_assert_uint_eq(h.result.files, 6);
	ck_assert_uint_eq(h.result.dirs, 6);
	ck_assert_uint_eq(h.result.symlinks, 2);
	ck_assert_uint_eq(h.result.others, 2);
	ck_assert_uint_eq(h.result.used_inodes, 16);
	assert_unchanged(&c, before);
	walk(&c);
	assert_clean(&c);
	craft_destroy(&c);
}
END_TEST

START_TEST(each_damage_is_found_and_mended)
{
	const struct damage *d = &damages[_i];
	struct heard h, repair;
	uint8_t *before;
	struct craft c;

	craft_create(&c);
	damage_apply(&c, d);
	before = snapshot(&c);
	check(&c, CHECK_REPORT, d->code, &h);
	ck_assert_msg(h.found, "%s: not found, but:\n%s", d->name, h.text);
	ck_assert_uint_eq(h.result.repaired, 0);
	assert_unchanged(&c, before);
	check(&c, CHECK_REPAIR, d->code, &repair);
	ck_assert_msg(repair.result.problems == repair.result.repaired, "%s: not mended:\n%s",
		      d->name, repair.text);
	check(&c, CHECK_REPORT, NULL, &h);
	ck_assert_msg(h.result.problems == 0, "%s: left:\n%safter:\n%s", d->name, h.text,
		      repair.text);
	walk(&c);
	assert_clean(&c);
	craft_destroy(&c);
}
END_TEST

/* What preen mends it mends wholly; what it leaves, it says, and the rest stays as it was. */
START_TEST(preen_mends_or_leaves_and_says_so)
{
	const struct damage *d = &damages[_i];
	struct heard h;
	struct craft c;

	craft_create(&c);
	damage_apply(&c, d);
	check(&c, CHECK_PREEN, d->code, &h);
	ck_assert_uint_ge(h.result.problems, 1);
	if (h.result.problems == h.result.repaired)
		assert_clean(&c);
	check(&c, CHECK_REPAIR, NULL, &h);
	assert_clean(&c);
	craft_destroy(&c);
}
END_TEST

START_TEST(preen_loses_no_name)
{
	struct heard h;
	struct craft c;

	craft_create(&c);
	name_of_a_free_inode(&c);
	check(&c, CHECK_PREEN, "dirent-free", &h);
	ck_assert(h.found);
	ck_assert_uint_lt(h.result.repaired, h.result.problems);
	ck_assert_uint_gt(root_entry(&c, I_FREE), 0);
	craft_destroy(&c);
}
END_TEST

static int refuse(void *context, const struct check_problem *p)
{
	return 0;
}

START_TEST(what_is_not_approved_is_not_done)
{
	struct check_options o = {.mode = CHECK_REPAIR, .approve = refuse};
	struct check_result result;
	struct craft c;

	craft_create(&c);
	everything_at_once(&c);
	ck_assert_int_eq(check_fs(c.engine, &o, &result), 0);
	ck_assert_uint_gt(result.problems, 0);
	ck_assert_uint_eq(result.repaired, 0);
	craft_destroy(&c);
}
END_TEST

START_TEST(no_superblock_is_said)
{
	struct check_options o = {.mode = CHECK_REPAIR};
	struct check_result result;
	uint64_t zero = 0;
	struct craft c;

	craft_create(&c);
	craft_poke(&c, 0, 0, &zero, sizeof(zero));
	craft_poke(&c, c.block[B_COPY], 0, &zero, sizeof(zero));
	ck_assert_int_eq(check_fs(c.engine, &o, &result), -EMEDIUMTYPE);
	craft_destroy(&c);
}
END_TEST

START_TEST(a_newer_version_is_left_alone)
{
	struct check_options o = {.mode = CHECK_REPAIR};
	struct check_result result;
	uint8_t *before;
	struct craft c;

	craft_create(&c);
	craft_set_super(&c, offsetof(struct disk_super, version), 4, 2);
	before = snapshot(&c);
	ck_assert_int_eq(check_fs(c.engine, &o, &result), -EPROTONOSUPPORT);
	assert_unchanged(&c, before);
	craft_destroy(&c);
}
END_TEST

START_TEST(unknown_features_are_left_alone)
{
	struct check_options o = {.mode = CHECK_REPAIR};
	struct check_result result;
	uint8_t *before;
	struct craft c;

	craft_create(&c);
	craft_set_super(&c, offsetof(struct disk_super, incompat), 8, 1 << 9);
	before = snapshot(&c);
	ck_assert_int_eq(check_fs(c.engine, &o, &result), -EPROTONOSUPPORT);
	assert_unchanged(&c, before);
	craft_destroy(&c);
}
END_TEST

START_TEST(the_lost_are_found_under_their_numbers)
{
	struct fs_attr lost, attr;
	struct fs_options o;
	struct heard h;
	struct craft c;
	struct fs *fs;

	craft_create(&c);
	name_of_a_file_is_gone(&c);
	name_of_a_directory_is_gone(&c);
	check(&c, CHECK_REPAIR, NULL, &h);
	fs_options_init(&o);
	ck_assert_int_eq(fs_mount(c.engine, &o, &fs), 0);
	ck_assert_int_eq(fs_lookup(fs, I_ROOT, "lost+found", &lost), 0);
	ck_assert_int_eq(fs_lookup(fs, lost.ino, "#4", &attr), 0);
	ck_assert_uint_eq(attr.ino, I_TREE);
	ck_assert_int_eq(fs_lookup(fs, lost.ino, "#7", &attr), 0);
	ck_assert_int_eq(fs_lookup(fs, attr.ino, "name-number-123", &attr), 0);
	ck_assert_uint_eq(attr.ino, I_EXTENTS);
	ck_assert_int_eq(fs_unmount(fs), 0);
	craft_destroy(&c);
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t interesting(uint64_t *state)
{
	static const uint64_t values[] = {0,	  1,	      2,	  0x7f,	     0xff,
					  0xffff, 0x7fffffff, UINT32_MAX, UINT64_MAX};
	uint64_t n = next_random(state);

	return n % 3 ? values[n / 3 % (sizeof(values) / sizeof(values[0]))] : n >> 8;
}

/* One change at random; the crc is right afterwards three times in four. */
static void scramble(struct craft *c, uint64_t *state)
{
	uint64_t n = next_random(state), value = interesting(state);
	unsigned bytes = 1u << n % 4, offset = (unsigned)(n >> 8) % (1024 - 8);
	uint8_t raw[8];

	bytes_put(raw, sizeof(raw), value); /* little endian: the first bytes are the value, too */
	if (n >> 32 & 1) {
		uint64_t ino = n >> 40 & 15 ? 1 + (n >> 44) % I_FREE : I_FAR;

		craft_set_inode(c, ino, offset % 248, bytes, value);
	} else if (n >> 33 & 1) {
		craft_set_block(c, c->block[B_GDT + (n >> 40) % (B_DATA - B_GDT)], offset % 128,
				bytes, value);
	} else if (n >> 34 & 1) {
		craft_set_block(c, c->block[B_GDT + (n >> 40) % (B_DATA - B_GDT)], offset, bytes,
				value);
	} else {
		craft_poke(c, (n >> 40) % 700, offset, raw, bytes);
	}
}

START_TEST(any_bytes_are_survived_and_mended)
{
	uint64_t state = (uint64_t)_i * 1000 + 1;
	struct heard first, second;
	struct craft c;

	craft_create(&c);
	for (unsigned n = 1 + _i % 20; n; n--)
		scramble(&c, &state);
	check(&c, CHECK_REPORT, NULL, &first);
	check(&c, CHECK_REPAIR, NULL, &first);
	ck_assert_msg(first.result.problems == first.result.repaired, "seed %d: not mended:\n%s",
		      _i, first.text);
	check(&c, CHECK_REPORT, NULL, &second);
	ck_assert_msg(second.result.problems == 0, "seed %d: left:\n%safter:\n%s", _i, second.text,
		      first.text);
	walk(&c);
	craft_destroy(&c);
}
END_TEST

static int find_name(void *context, const struct fs_dirent *e)
{
	if (e->ino == I_XATTR)
		strcpy(context, e->name);
	return 0;
}

START_TEST(attributes_are_freed_with_their_file)
{
	struct fs_options o;
	char name[256] = "";
	struct craft c;
	struct fs *fs;

	craft_create(&c);
	fs_options_init(&o);
	o.commit_ms = 0;
	ck_assert_int_eq(fs_mount(c.engine, &o, &fs), 0);
	ck_assert_int_eq(fs_readdir(fs, I_ROOT, 0, find_name, name), 0);
	ck_assert_int_eq(fs_unlink(fs, I_ROOT, name), 0);
	ck_assert_int_eq(fs_unmount(fs), 0);
	assert_clean(&c);
	craft_destroy(&c);
}
END_TEST

#define USED_FILES 400

/* Many operations of the filesystem itself. */
static void use(struct fs *fs, uint64_t seed)
{
	char name[64], data[3000];
	struct fs_attr attr;

	memset(data, 'd', sizeof(data));
	for (unsigned i = 0; i < USED_FILES * 4; i++) {
		uint64_t n = next_random(&seed);
		struct fs_new what = {.mode = S_IFREG | 0644};

		sprintf(name, "file with a number %u", (unsigned)(n % USED_FILES));
		if (fs_lookup(fs, I_ROOT, name, &attr) == 0) {
			if (n >> 20 & 1)
				ck_assert_int_eq(fs_unlink(fs, I_ROOT, name), 0);
			else
				ck_assert_int_gt(fs_write(fs, attr.ino, (n >> 24) % 200000, data,
							  1 + (n >> 40) % sizeof(data)),
						 0);
			attr.size = (n >> 24) % 100000;
			if ((n >> 21 & 7) == 0)
				ck_assert_int_eq(
					fs_setattr(fs, attr.ino, &attr, FS_SET_SIZE, &attr), 0);
		} else {
			if ((n >> 22 & 7) == 0)
				what.mode = S_IFDIR | 0755;
			if (S_ISREG(what.mode) || (n & 1))
				ck_assert_int_eq(fs_make(fs, I_ROOT, name, &what, &attr), 0);
			else
				continue;
			if (S_ISDIR(what.mode))
				ck_assert_int_eq(fs_rmdir(fs, I_ROOT, name), 0);
		}
		fs_forget(fs, attr.ino, 1);
	}
}

START_TEST(what_the_filesystem_makes_is_in_order)
{
	static const unsigned block_bytes[] = {1024, 4096, 65536};
	struct mkfs_options m = {.block_bytes = block_bytes[_i], .hash_seed = 9, .uuid = {3}};
	struct craft c = {0};
	struct fs_options o;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(64 << 20, 512, &c.engine), 0);
	ck_assert_int_eq(mkfs_format(c.engine, &m, &c.geo), 0);
	assert_clean(&c);
	fs_options_init(&o);
	o.commit_ms = 0;
	ck_assert_int_eq(fs_mount(c.engine, &o, &fs), 0);
	use(fs, (uint64_t)_i + 5);
	ck_assert_int_eq(fs_unmount(fs), 0);
	assert_clean(&c);
	bufio_engine_destroy(c.engine);
}
END_TEST

/* As a crash right after a sync leaves it: seen with the log laid over it, then replayed. */
START_TEST(a_synced_image_that_is_mounted_is_in_order)
{
	struct mkfs_options m = {.hash_seed = 9, .uuid = {3}};
	struct craft c = {0};
	struct fs_options o;
	struct heard h;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(64 << 20, 512, &c.engine), 0);
	ck_assert_int_eq(mkfs_format(c.engine, &m, &c.geo), 0);
	fs_options_init(&o);
	o.commit_ms = 0;
	ck_assert_int_eq(fs_mount(c.engine, &o, &fs), 0);
	use(fs, 77);
	ck_assert_int_eq(fs_sync(fs), 0);
	assert_clean(&c);
	check(&c, CHECK_PREEN, "", &h);
	ck_assert_msg(h.result.problems == 0, "found:\n%s", h.text);
	fs_close(fs);
	assert_clean(&c);
	bufio_engine_destroy(c.engine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *t = tcase_create("check");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_good_image_has_no_problems);
	tcase_add_loop_test(t, each_damage_is_found_and_mended, 0, (int)nr_damages);
	tcase_add_loop_test(t, preen_mends_or_leaves_and_says_so, 0, (int)nr_damages);
	tcase_add_test(t, preen_loses_no_name);
	tcase_add_test(t, what_is_not_approved_is_not_done);
	tcase_add_test(t, no_superblock_is_said);
	tcase_add_test(t, a_newer_version_is_left_alone);
	tcase_add_test(t, unknown_features_are_left_alone);
	tcase_add_test(t, the_lost_are_found_under_their_numbers);
	tcase_add_loop_test(t, any_bytes_are_survived_and_mended, 0, 300);
	tcase_add_test(t, attributes_are_freed_with_their_file);
	tcase_add_loop_test(t, what_the_filesystem_makes_is_in_order, 0, 3);
	tcase_add_test(t, a_synced_image_that_is_mounted_is_in_order);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
