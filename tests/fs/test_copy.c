/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies between files: the same bytes, the same holes. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

#define BLOCK 1024u
#define BYTES 150000u

static struct image i;
static uint64_t files[2];

static void start(void)
{
	image_init_mounted(&i, UINT64_C(64) << 20, BLOCK);
	files[0] = image_make(&i, INODE_ROOT, "a", S_IFREG | 0600);
	files[1] = image_make(&i, INODE_ROOT, "b", S_IFREG | 0600);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void write_letters(uint64_t ino, uint64_t offset, size_t size, char letter)
{
	static char data[BYTES];

	memset(data, letter, size);
	image_write(&i, ino, offset, data, size);
}

/* All of it, in as many calls as it takes. */
static void copy(struct fs_copy range)
{
	while (range.size) {
		ssize_t n = fs_copy_range(i.fs, &range);

		ck_assert_int_gt(n, 0);
		ck_assert_uint_le((uint64_t)n, range.size);
		range.from_offset += (uint64_t)n;
		range.to_offset += (uint64_t)n;
		range.size -= (uint64_t)n;
	}
}

static struct {
	uint8_t bytes[BYTES];
	uint64_t size;
} model[2];

static void model_grow(unsigned file, uint64_t size)
{
	if (size > model[file].size)
		model[file].size = size;
}

static void step_copy(uint64_t *seed)
{
	unsigned from = image_random(seed) % 2, to = image_random(seed) % 2;
	uint64_t a, b, size;

	if (!model[from].size)
		return;
	a = image_random(seed) % model[from].size;
	b = image_random(seed) % (BYTES / 2);
	size = 1 + image_random(seed) % (BYTES / 2);
	if (image_random(seed) % 2) {
		a = a / BLOCK * BLOCK;
		b = b / BLOCK * BLOCK;
	}
	if (size > model[from].size - a)
		size = model[from].size - a;
	if (from == to && a < b + size && b < a + size)
		return;
	copy((struct fs_copy){files[from], a, files[to], b, size});
	memcpy(model[to].bytes + b, model[from].bytes + a, size);
	model_grow(to, b + size);
}

static void step_write(uint64_t *seed)
{
	unsigned file = image_random(seed) % 2;
	uint64_t at = image_random(seed) % BYTES, size = 1 + image_random(seed) % 5000;

	if (size > BYTES - at)
		size = BYTES - at;
	for (uint64_t n = 0; n < size; n++)
		model[file].bytes[at + n] = (uint8_t)(image_random(seed) | 1);
	image_write(&i, files[file], at, model[file].bytes + at, size);
	model_grow(file, at + size);
}

static void step_punch(uint64_t *seed)
{
	unsigned file = image_random(seed) % 2;
	uint64_t at = image_random(seed) % BYTES, size = 1 + image_random(seed) % 20000;

	if (size > BYTES - at)
		size = BYTES - at;
	ck_assert_int_eq(fs_fallocate(i.fs, files[file], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      at, size),
			 0);
	memset(model[file].bytes + at, 0, size);
}

static void compare(void)
{
	static uint8_t data[BYTES + 1];

	for (unsigned n = 0; n < 2; n++) {
		ck_assert_int_eq(fs_read(i.fs, files[n], 0, data, sizeof(data)),
				 (ssize_t)model[n].size);
		ck_assert_mem_eq(data, model[n].bytes, model[n].size);
	}
}

START_TEST(random_copies_agree_with_a_model)
{
	uint64_t seed = image_seed("copy");

	memset(model, 0, sizeof(model));
	start();
	for (unsigned n = 0; n < 1500; n++) {
		if (n % 3 == 0)
			step_write(&seed);
		else if (n % 7 == 1)
			step_punch(&seed);
		else
			step_copy(&seed);
		if (n % 10 == 0)
			compare();
	}
	compare();
	finish();
}
END_TEST

static uint64_t blocks_of(uint64_t ino)
{
	return image_attr(&i, ino).blocks / (BLOCK / 512);
}

START_TEST(holes_are_copied_as_holes)
{
	uint64_t at;

	start();
	write_letters(files[0], 10 * BLOCK, 2 * BLOCK, 'a');
	write_letters(files[0], 100 * BLOCK, BLOCK, 'b');
	/* what is preallocated has no data either */
	ck_assert_int_eq(fs_fallocate(i.fs, files[0], 0, 50 * BLOCK, 10 * BLOCK), 0);
	ck_assert_int_eq(fs_fallocate(i.fs, files[0], 0, 101 * BLOCK, BLOCK + 500), 0);
	write_letters(files[1], 0, 60 * BLOCK, 'c');
	copy((struct fs_copy){files[0], 0, files[1], 0, 102 * BLOCK + 500});
	ck_assert_uint_eq(image_attr(&i, files[1]).size, 102 * BLOCK + 500);
	ck_assert_uint_eq(blocks_of(files[1]), 3);
	ck_assert_int_eq(fs_seek_data(i.fs, files[1], 0, &at), 0);
	ck_assert_uint_eq(at, 10 * BLOCK);
	finish();
}
END_TEST

START_TEST(a_terabyte_of_nothing_is_copied_at_once)
{
	const uint64_t tera = UINT64_C(1) << 40;
	struct fs_attr attr = {.size = tera};
	struct fs_copy range = {files[0], 0, files[1], 0, 2 * tera};

	start();
	range.from = files[0];
	range.to = files[1];
	ck_assert_int_eq(fs_setattr(i.fs, files[0], &attr, FS_SET_SIZE, &attr), 0);
	ck_assert_int_eq(fs_copy_range(i.fs, &range), (ssize_t)tera);
	ck_assert_uint_eq(image_attr(&i, files[1]).size, tera);
	ck_assert_uint_eq(blocks_of(files[1]), 0);
	finish();
}
END_TEST

START_TEST(large_copies_come_in_bounded_parts)
{
	struct fs_copy range = {.size = UINT64_C(20) << 20};
	ssize_t n;

	start();
	range.from = files[0];
	range.to = files[1];
	for (unsigned k = 0; k < 200; k++)
		write_letters(files[0], k * (UINT64_C(100) << 10), 100 << 10, (char)('a' + k % 26));
	n = fs_copy_range(i.fs, &range);
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, 20 << 20);
	copy((struct fs_copy){files[0], (uint64_t)n, files[1], (uint64_t)n,
			      image_attr(&i, files[0]).size - (uint64_t)n});
	for (unsigned k = 0; k < 200; k++) {
		char byte;

		ck_assert_int_eq(fs_read(i.fs, files[1], k * (UINT64_C(100) << 10) + 77, &byte, 1),
				 1);
		ck_assert_int_eq(byte, 'a' + k % 26);
	}
	finish();
}
END_TEST

START_TEST(what_is_refused)
{
	uint64_t dir, fifo;

	start();
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	fifo = image_make(&i, INODE_ROOT, "p", S_IFIFO | 0600);
	write_letters(files[0], 0, 5000, 'a');
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){dir, 0, files[0], 0, 1}), -EISDIR);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, dir, 0, 1}), -EISDIR);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, fifo, 0, 1}), -EINVAL);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, files[0], 999, 1000}),
			 -EINVAL);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 999, files[0], 0, 1000}),
			 -EINVAL);
	ck_assert_int_eq(
		fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, files[1], INT64_MAX, 9}),
		-EFBIG);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 5000, files[1], 0, 9}), 0);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, files[1], 0, 0}), 0);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, files[0], 1000, 1000}),
			 1000);
	ck_assert_uint_eq(image_attr(&i, files[1]).size, 0);
	finish();
}
END_TEST

START_TEST(a_full_device_gives_what_fits_then_an_error)
{
	static char data[1 << 16];
	uint64_t offset = 0, rest;
	ssize_t n;

	start();
	write_letters(files[0], 0, BYTES, 'a');
	rest = image_make(&i, INODE_ROOT, "rest", S_IFREG | 0600);
	while ((n = fs_write(i.fs, rest, offset, data, sizeof(data))) > 0)
		offset += (uint64_t)n;
	ck_assert_int_eq(n, -ENOSPC);
	ck_assert_int_eq(
		fs_setattr(i.fs, rest,
			   &(struct fs_attr){.size = (offset - 30 * BLOCK) / BLOCK * BLOCK},
			   FS_SET_SIZE, &(struct fs_attr){.size = 0}),
		0);
	n = fs_copy_range(i.fs, &(struct fs_copy){files[0], 0, files[1], 0, BYTES});
	ck_assert_int_gt(n, 10 * BLOCK);
	ck_assert_int_lt(n, BYTES);
	ck_assert_uint_eq(image_attr(&i, files[1]).size, (uint64_t)n);
	ck_assert_int_eq(fs_copy_range(i.fs, &(struct fs_copy){files[0], (uint64_t)n, files[1],
							       (uint64_t)n, 1000}),
			 -ENOSPC);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("copy");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, random_copies_agree_with_a_model);
	tcase_add_test(tc, holes_are_copied_as_holes);
	tcase_add_test(tc, a_terabyte_of_nothing_is_copied_at_once);
	tcase_add_test(tc, large_copies_come_in_bounded_parts);
	tcase_add_test(tc, what_is_refused);
	tcase_add_test(tc, a_full_device_gives_what_fits_then_an_error);
	return image_run("copy", cases);
}
