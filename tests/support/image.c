/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"
#include "lend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crc.h"
#include "held.h"
#include "fsck.h"
#include "meta.h"
#include "open.h"
#include "super.h"

void image_init(struct image *i, uint64_t size_bytes, unsigned block_bytes)
{
	struct mkfs_options o = {
		.block_bytes = block_bytes, .uuid = {1, 2, 3}, .hash_seed = 7, .label = "test"};

	*i = (struct image){.fs = NULL};
	fs_options_init(&i->options);
	i->options.commit_ms = 0;
	i->options.cache_bytes = 8 << 20;
	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 512, &i->mem), 0);
	ck_assert_int_eq(bufio_engine_fault_create(i->mem, &i->engine), 0);
	ck_assert_int_eq(mkfs_format(i->engine, &o, &i->geo), 0);
}

void image_init_mounted(struct image *i, uint64_t size_bytes, unsigned block_bytes)
{
	image_init(i, size_bytes, block_bytes);
	image_mount(i);
}

void image_finish(struct image *i)
{
	fs_close(i->fs);
	bufio_engine_destroy(i->engine);
}

void image_mount(struct image *i)
{
	ck_assert_int_eq(fs_mount(i->engine, &i->options, &i->fs), 0);
}

void image_unmount(struct image *i)
{
	struct fs *fs = i->fs;

	i->fs = NULL;
	ck_assert_int_eq(fs_unmount(fs), 0);
}

void image_remount(struct image *i)
{
	image_unmount(i);
	image_mount(i);
}

void image_settle(struct image *i)
{
	ck_assert_int_eq(log_commit_open(i->fs->log), 0);
	ck_assert_int_eq(log_checkpoint(i->fs->log), 0);
	held_release(i->fs);
}

void image_peek(struct image *i, uint64_t block, unsigned offset, void *data, size_t size)
{
	ck_assert_int_eq(
		bufio_engine_mem_peek(i->mem, (block << i->geo.block_shift) + offset, data, size),
		0);
}

void image_poke(struct image *i, uint64_t block, unsigned offset, const void *data, size_t size)
{
	ck_assert_int_eq(
		bufio_engine_mem_poke(i->mem, (block << i->geo.block_shift) + offset, data, size),
		0);
}

void image_break(struct image *i, uint64_t block, unsigned offset, uint8_t byte)
{
	uint8_t *data = malloc(i->geo.block_bytes);
	struct disk_super d;

	image_get_super(i, &d);
	image_peek(i, block, 0, data, i->geo.block_bytes);
	data[offset] = byte;
	meta_stamp_raw(crc32c(0, d.uuid, sizeof(d.uuid)), i->geo.block_bytes, data);
	image_poke(i, block, 0, data, i->geo.block_bytes);
	free(data);
}

void image_get_super(struct image *i, struct disk_super *d)
{
	image_peek(i, 0, 0, d, sizeof(*d));
}

void image_set_super(struct image *i, const struct disk_super *d)
{
	for (uint64_t owner = 0; owner < 2; owner++) {
		uint64_t block = owner ? geo_super_copy(&i->geo) : 0;
		struct disk_super one = *d;

		one.head.block = le64_make(block);
		one.head.owner = le64_make(owner);
		one.head.crc = le32_make(super_crc(&one));
		image_poke(i, block, 0, &one, sizeof(one));
	}
}

static void print_problem(void *context, const struct check_problem *p)
{
	printf("%s: %s\n", p->code, p->text);
	fflush(stdout);
}

void image_check(struct image *i)
{
	const struct check_options o = {.mode = CHECK_REPORT, .problem = print_problem};
	struct check_result result;

	ck_assert_int_eq(check_fs(i->engine, &o, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

void image_count_from(struct image *i, unsigned ops)
{
	const struct bufio_fault count = {.ops = ops};

	bufio_engine_fault_set(i->engine, &count);
}

unsigned image_counted(struct image *i)
{
	return bufio_engine_fault_matched(i->engine);
}

uint64_t image_make(struct image *i, uint64_t dir, const char *name, uint32_t mode)
{
	const struct fs_new what = {.mode = mode,
				    .uid = 1,
				    .gid = 2,
				    .rdev_major = 8,
				    .rdev_minor = 3,
				    .target = "target"};
	struct fs_attr attr;

	ck_assert_int_eq(fs_make(i->fs, dir, name, &what, &attr), 0);
	return attr.ino;
}

uint64_t image_lookup(struct image *i, uint64_t dir, const char *name)
{
	struct fs_attr attr;

	ck_assert_int_eq(fs_lookup(i->fs, dir, name, &attr), 0);
	return attr.ino;
}

void image_unlink(struct image *i, uint64_t dir, const char *name)
{
	ck_assert_int_eq(fs_unlink(i->fs, dir, name), 0);
}

void image_write(struct image *i, uint64_t ino, uint64_t offset, const void *data, size_t size)
{
	ck_assert_int_eq(lend_write(i->fs, ino, offset, data, size), (ssize_t)size);
}

struct fs_attr image_attr(struct image *i, uint64_t ino)
{
	struct fs_attr attr;

	ck_assert_int_eq(fs_getattr(i->fs, ino, &attr), 0);
	return attr;
}

struct fs_statfs image_statfs(struct image *i)
{
	struct fs_statfs s;

	fs_statfs(i->fs, &s);
	return s;
}

uint64_t image_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t image_seed(const char *test)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("%s: SEED=%llu\n", test, (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

int image_run(const char *name, TCase *const *cases)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	for (; *cases; cases++) {
		tcase_set_timeout(*cases, 600);
		suite_add_tcase(suite, *cases);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
