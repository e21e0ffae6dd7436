/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crc.h"
#include "meta.h"
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
		tcase_set_timeout(*cases, 120);
		suite_add_tcase(suite, *cases);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
