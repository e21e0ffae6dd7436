/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holes and data of a file, against a model that knows of each block whether it was written. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

#define BLOCK	  1024u
#define NR_BLOCKS 120u
#define PUNCH	  (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO	  FALLOC_FL_ZERO_RANGE

static struct image i;
static uint64_t ino;

static struct {
	bool data[NR_BLOCKS];
	uint64_t size;
} model;

static void start(void)
{
	memset(&model, 0, sizeof(model));
	image_init_mounted(&i, UINT64_C(16) << 20, BLOCK);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

/* Blocks that lie in [from, to) as a whole, or also those in part. */
static void mark(uint64_t from, uint64_t to, bool data)
{
	uint64_t first = data ? from / BLOCK : (from + BLOCK - 1) / BLOCK;
	uint64_t last = data ? (to + BLOCK - 1) / BLOCK : to / BLOCK;

	for (uint64_t n = first; n < last; n++)
		model.data[n] = data;
}

static void grow(uint64_t size)
{
	if (size > model.size)
		model.size = size;
}

static void write_at(uint64_t offset, size_t size)
{
	static char data[NR_BLOCKS * BLOCK];

	memset(data, 'd', size);
	image_write(&i, ino, offset, data, size);
	mark(offset, offset + size, true);
	grow(offset + size);
}

static void truncate_to(uint64_t size)
{
	struct fs_attr attr = {.size = size};

	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), 0);
	mark(size, NR_BLOCKS * BLOCK, false);
	model.size = size;
}

static void fallocate_at(int mode, uint64_t offset, uint64_t len)
{
	ck_assert_int_eq(fs_fallocate(i.fs, ino, mode, offset, len), 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		mark(offset, offset + len, false);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(offset + len);
}

static int model_seek(uint64_t at, bool for_data, uint64_t *ret)
{
	if (at >= model.size)
		return -ENXIO;
	while (at < model.size && model.data[at / BLOCK] != for_data)
		at = (at / BLOCK + 1) * BLOCK;
	if (at >= model.size && for_data)
		return -ENXIO;
	*ret = at < model.size ? at : model.size;
	return 0;
}

static void compare_at(uint64_t at)
{
	uint64_t want = 0, got = 0;
	int r = model_seek(at, true, &want);

	ck_assert_int_eq(fs_seek_data(i.fs, ino, at, &got), r);
	ck_assert_uint_eq(got, want);
	r = model_seek(at, false, &want);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, at, &got), r);
	if (r == 0)
		ck_assert_uint_eq(got, want);
}

static void compare(void)
{
	for (uint64_t at = 0; at <= model.size + BLOCK; at += BLOCK / 2 + 3)
		compare_at(at);
	compare_at(model.size - 1);
	compare_at(model.size);
}

START_TEST(holes_and_data_are_where_a_model_says)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, PUNCH, ZERO};
	uint64_t seed = image_seed("seek");

	start();
	/* never so small that the inode could hold it */
	write_at(0, 300);
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t from = image_random(&seed) % (NR_BLOCKS * BLOCK / 2);
		uint64_t bytes = 1 + image_random(&seed) % (image_random(&seed) % 3 ? 3000 : 50000);

		switch (image_random(&seed) % 8) {
		case 0:
			truncate_to(300 + from);
			break;
		case 1:
		case 2:
		case 3:
			fallocate_at(modes[image_random(&seed) % 4], from, bytes);
			break;
		default:
			write_at(from, bytes % 5000 + 1);
		}
		if (n % 50 == 0)
			image_settle(&i);
		compare();
	}
	finish();
}
END_TEST

START_TEST(bytes_in_an_inode_are_data)
{
	uint64_t at;

	start();
	ck_assert_int_eq(fs_seek_data(i.fs, ino, 0, &at), -ENXIO);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, 0, &at), -ENXIO);
	image_write(&i, ino, 10, "small", 5);
	ck_assert_int_eq(fs_seek_data(i.fs, ino, 3, &at), 0);
	ck_assert_uint_eq(at, 3);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, 3, &at), 0);
	ck_assert_uint_eq(at, 15);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, 15, &at), -ENXIO);
	finish();
}
END_TEST

START_TEST(a_hole_of_terabytes_is_crossed_at_once)
{
	const uint64_t far = (UINT64_C(1) << 44) + 5000;
	uint64_t at;

	start();
	image_write(&i, ino, far, "x", 1);
	ck_assert_int_eq(fs_seek_data(i.fs, ino, 0, &at), 0);
	ck_assert_uint_eq(at, far / BLOCK * BLOCK);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, far, &at), 0);
	ck_assert_uint_eq(at, far + 1);
	ck_assert_int_eq(fs_seek_hole(i.fs, ino, 0, &at), 0);
	ck_assert_uint_eq(at, 0);
	finish();
}
END_TEST

START_TEST(other_things_than_files_have_neither)
{
	uint64_t dir, fifo, at;

	start();
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	fifo = image_make(&i, INODE_ROOT, "p", S_IFIFO | 0600);
	ck_assert_int_eq(fs_seek_data(i.fs, dir, 0, &at), -EISDIR);
	ck_assert_int_eq(fs_seek_hole(i.fs, fifo, 0, &at), -EINVAL);
	ck_assert_int_eq(fs_seek_hole(i.fs, 99999, 0, &at), -ESTALE);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("seek");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, holes_and_data_are_where_a_model_says);
	tcase_add_test(tc, bytes_in_an_inode_are_data);
	tcase_add_test(tc, a_hole_of_terabytes_is_crossed_at_once);
	tcase_add_test(tc, other_things_than_files_have_neither);
	return image_run("seek", cases);
}
