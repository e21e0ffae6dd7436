/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents of files: random reads, writes and truncates against a model, far beyond 4 GiB too; holes, limits, inline. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "inode.h"

#define SIZE (UINT64_C(64) << 20)

static const unsigned block_sizes[] = {1024, 4096, 65536};
#define NR_BLOCK_SIZES 3

static struct image i;
static uint64_t ino;

static void start(unsigned block_bytes)
{
	image_init_mounted(&i, SIZE, block_bytes);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void truncate_to(uint64_t size)
{
	struct fs_attr attr = {.size = size};

	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), 0);
	ck_assert_uint_eq(attr.size, size);
}

static void remount(void)
{
	fs_forget(i.fs, ino, 1);
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
}

/* The model: three stretches of a huge file; whatever is outside of them is never written. */
#define STRETCH (300u << 10)

static const uint64_t stretch_start[] = {0, (UINT64_C(4) << 30) - STRETCH / 2,
					 (UINT64_C(16) << 40) - STRETCH};
#define NR_STRETCHES 3

static struct {
	uint8_t bytes[NR_STRETCHES][STRETCH];
	uint64_t size;
} model;

/* A stretch, an offset in it and a length that does not leave it. */
struct range {
	unsigned stretch;
	uint64_t from, bytes;
};

static struct range draw_range(uint64_t *seed)
{
	static const unsigned small[] = {1, 7, 100, 145, 1024, 5000, 70000, 200000};
	struct range r = {.stretch = image_random(seed) % 8};

	r.stretch = r.stretch >= NR_STRETCHES ? 0 : r.stretch;
	r.from = image_random(seed) % small[image_random(seed) % 8];
	r.bytes = 1 + image_random(seed) % small[image_random(seed) % 8];
	if (image_random(seed) % 4 == 0)
		r.from = r.from / 1024 * 1024;
	if (r.bytes > STRETCH - r.from)
		r.bytes = STRETCH - r.from;
	return r;
}

static void model_write(uint64_t *seed)
{
	struct range r = draw_range(seed);
	uint8_t *to = model.bytes[r.stretch] + r.from;
	uint64_t offset = stretch_start[r.stretch] + r.from;

	for (uint64_t n = 0; n < r.bytes; n++)
		to[n] = (uint8_t)(image_random(seed) | 1);
	image_write(&i, ino, offset, to, r.bytes);
	if (offset + r.bytes > model.size)
		model.size = offset + r.bytes;
}

static void model_truncate(uint64_t *seed)
{
	struct range r = draw_range(seed);

	model.size = stretch_start[r.stretch] + r.from;
	memset(model.bytes[r.stretch] + r.from, 0, STRETCH - r.from);
	for (unsigned s = r.stretch + 1; s < NR_STRETCHES; s++)
		memset(model.bytes[s], 0, STRETCH);
	truncate_to(model.size);
}

static void compare_range(struct range r)
{
	uint64_t offset = stretch_start[r.stretch] + r.from, want = r.bytes;
	uint8_t *data = malloc(r.bytes);

	if (offset >= model.size)
		want = 0;
	else if (want > model.size - offset)
		want = model.size - offset;
	ck_assert_int_eq(fs_read(i.fs, ino, offset, data, r.bytes), (ssize_t)want);
	if (want)
		ck_assert_mem_eq(data, model.bytes[r.stretch] + r.from, want);
	free(data);
}

static void compare_all(void)
{
	ck_assert_uint_eq(image_attr(&i, ino).size, model.size);
	for (unsigned s = 0; s < NR_STRETCHES; s++)
		compare_range((struct range){s, 0, STRETCH});
}

START_TEST(random_programs_agree_with_a_model)
{
	uint64_t seed = image_seed("file") * 100 + (uint64_t)_i;
	struct fs_statfs before;

	memset(&model, 0, sizeof(model));
	start(block_sizes[_i % NR_BLOCK_SIZES]);
	before = image_statfs(&i);
	for (unsigned n = 0; n < 1200; n++) {
		unsigned what = image_random(&seed) % 100;

		if (what < 45)
			model_write(&seed);
		else if (what < 60)
			model_truncate(&seed);
		else if (what < 98)
			compare_range(draw_range(&seed));
		else
			remount();
	}
	compare_all();
	remount();
	compare_all();
	truncate_to(0);
	ck_assert_uint_eq(image_attr(&i, ino).blocks, 0);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(what_was_cut_off_does_not_come_back)
{
	uint8_t data[10000], zero[10000] = {0};

	start(block_sizes[_i]);
	memset(data, 'x', sizeof(data));
	for (unsigned keep = 0; keep < 9000; keep += 777) {
		image_write(&i, ino, 0, data, sizeof(data));
		truncate_to(keep);
		truncate_to(sizeof(data));
		ck_assert_int_eq(fs_read(i.fs, ino, 0, data, sizeof(data)), sizeof(data));
		ck_assert_mem_eq(data + keep, zero, sizeof(data) - keep);
		memset(data, 'x', sizeof(data));
		image_write(&i, ino, 0, data, sizeof(data));
		truncate_to(keep);
		image_write(&i, ino, 9999, "y", 1);
		ck_assert_int_eq(fs_read(i.fs, ino, 0, data, sizeof(data)), sizeof(data));
		ck_assert_mem_eq(data + keep, zero, 9999 - keep);
		ck_assert_int_eq(data[9999], 'y');
		memset(data, 'x', sizeof(data));
	}
	finish();
}
END_TEST

START_TEST(a_small_file_takes_no_block_and_grows_into_one)
{
	uint8_t data[INODE_TAIL_BYTES + 1], back[INODE_TAIL_BYTES + 1];
	uint64_t free_blocks;

	start(block_sizes[_i]);
	free_blocks = image_statfs(&i).free_blocks;
	for (unsigned n = 0; n < sizeof(data); n++)
		data[n] = (uint8_t)(n + 1);
	for (unsigned n = 0; n < INODE_TAIL_BYTES; n++)
		image_write(&i, ino, n, data + n, 1);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, free_blocks);
	remount();
	ck_assert_uint_eq(image_attr(&i, ino).blocks, 0);
	image_write(&i, ino, INODE_TAIL_BYTES, data + INODE_TAIL_BYTES, 1);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, free_blocks - 1);
	remount();
	ck_assert_int_eq(fs_read(i.fs, ino, 0, back, sizeof(back)), sizeof(back));
	ck_assert_mem_eq(back, data, sizeof(data));
	finish();
}
END_TEST

START_TEST(a_hole_takes_no_block)
{
	uint8_t data[100], zero[100] = {0};
	uint64_t free_blocks;

	start(4096);
	free_blocks = image_statfs(&i).free_blocks;
	truncate_to(UINT64_C(1) << 44);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, free_blocks);
	image_write(&i, ino, (UINT64_C(1) << 45) - 1, "x", 1);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, free_blocks - 1);
	ck_assert_uint_eq(image_attr(&i, ino).blocks, 8);
	for (unsigned shift = 0; shift < 45; shift++) {
		ck_assert_int_eq(fs_read(i.fs, ino, UINT64_C(1) << shift, data, 100), 100);
		ck_assert_mem_eq(data, zero, 100);
	}
	ck_assert_int_eq(fs_read(i.fs, ino, (UINT64_C(1) << 45) - 2, data, 100), 2);
	ck_assert_int_eq(data[1], 'x');
	finish();
}
END_TEST

START_TEST(the_largest_file_ends_at_its_last_byte)
{
	struct fs_attr attr;
	uint64_t max;
	char c = 0;

	start(block_sizes[_i]);
	max = inode_max_size(i.fs);
	ck_assert_uint_ge(max, UINT64_C(16) << 40);
	ck_assert_int_eq(fs_write(i.fs, ino, max, "x", 1), -EFBIG);
	ck_assert_int_eq(fs_write(i.fs, ino, UINT64_MAX, "x", 1), -EFBIG);
	ck_assert_int_eq(fs_write(i.fs, ino, max - 1, "xy", 2), 1);
	ck_assert_uint_eq(image_attr(&i, ino).size, max);
	ck_assert_int_eq(fs_read(i.fs, ino, max - 1, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	ck_assert_int_eq(fs_read(i.fs, ino, max, &c, 1), 0);
	ck_assert_int_eq(fs_read(i.fs, ino, UINT64_MAX, &c, 1), 0);
	attr.size = max + 1;
	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), -EFBIG);
	truncate_to(max);
	remount();
	ck_assert_uint_eq(image_attr(&i, ino).size, max);
	finish();
}
END_TEST

START_TEST(only_files_have_contents)
{
	uint64_t fifo, link;
	char c;

	start(1024);
	fifo = image_make(&i, INODE_ROOT, "fifo", S_IFIFO | 0600);
	link = image_make(&i, INODE_ROOT, "link", S_IFLNK | 0777);
	ck_assert_int_eq(fs_read(i.fs, INODE_ROOT, 0, &c, 1), -EISDIR);
	ck_assert_int_eq(fs_write(i.fs, INODE_ROOT, 0, "x", 1), -EISDIR);
	ck_assert_int_eq(fs_read(i.fs, fifo, 0, &c, 1), -EINVAL);
	ck_assert_int_eq(fs_write(i.fs, link, 0, "x", 1), -EINVAL);
	finish();
}
END_TEST

/* Unwritten blocks: nothing here makes them yet, other writers of the format may. */
START_TEST(unwritten_blocks_read_as_zero_and_keep_what_is_written)
{
	struct mapping m = {.count = 0};
	uint8_t data[8192];
	struct inode *inode;
	struct txn t;

	start(1024);
	truncate_to(8192);
	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(txn_start(i.fs, 1, &t), 0);
	ck_assert_int_eq(bmap_alloc(&t, inode, 0, 8, &m), 0);
	ck_assert_uint_eq(m.count, 8);
	/* back out again, to put them in as unwritten */
	memset(inode->tail, 0, sizeof(inode->tail));
	inode->data_format = DATA_NONE;
	inode->blocks = 0;
	m.unwritten = true;
	ck_assert_int_eq(bmap_insert(&t, inode, &m), 0);
	ck_assert_int_eq(inode_store(&t, inode), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	inode_put(inode);
	ck_assert_int_eq(fs_read(i.fs, ino, 0, data, sizeof(data)), sizeof(data));
	for (unsigned n = 0; n < sizeof(data); n++)
		ck_assert_uint_eq(data[n], 0);
	image_write(&i, ino, 3000, "middle", 6);
	remount();
	ck_assert_int_eq(fs_read(i.fs, ino, 0, data, sizeof(data)), sizeof(data));
	for (unsigned n = 0; n < sizeof(data); n++)
		ck_assert_uint_eq(data[n],
				  n < 3000 || n >= 3006 ? 0 : (uint8_t) "middle"[n - 3000]);
	finish();
}
END_TEST

START_TEST(a_file_of_thousands_of_extents_is_cut_in_steps)
{
	struct fs_statfs before;
	uint8_t byte;

	start(1024);
	before = image_statfs(&i);
	for (unsigned n = 0; n < 5000; n++)
		image_write(&i, ino, (uint64_t)n * 2048, "x", 1);
	truncate_to(2048 * 2500);
	ck_assert_uint_eq(image_attr(&i, ino).blocks / 2 / 100, 25);
	remount();
	for (unsigned n = 0; n < 2500; n += 100) {
		ck_assert_int_eq(fs_read(i.fs, ino, (uint64_t)n * 2048, &byte, 1), 1);
		ck_assert_int_eq(byte, 'x');
	}
	truncate_to(0);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(a_file_written_in_order_is_one_extent)
{
	static uint8_t data[128 << 10];
	struct inode *inode;
	struct mapping m;

	start(4096);
	for (unsigned n = 0; n < 64; n++)
		image_write(&i, ino, (uint64_t)n * sizeof(data), data, sizeof(data));
	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(bmap_lookup(inode, 0, UINT32_MAX, &m), 0);
	ck_assert_uint_eq(m.count, 64 * sizeof(data) / 4096);
	inode_put(inode);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("file");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, random_programs_agree_with_a_model, 0, 6);
	tcase_add_loop_test(tc, what_was_cut_off_does_not_come_back, 0, NR_BLOCK_SIZES);
	tcase_add_loop_test(tc, a_small_file_takes_no_block_and_grows_into_one, 0, NR_BLOCK_SIZES);
	tcase_add_test(tc, a_hole_takes_no_block);
	tcase_add_loop_test(tc, the_largest_file_ends_at_its_last_byte, 0, NR_BLOCK_SIZES);
	tcase_add_test(tc, only_files_have_contents);
	tcase_add_test(tc, unwritten_blocks_read_as_zero_and_keep_what_is_written);
	tcase_add_test(tc, a_file_of_thousands_of_extents_is_cut_in_steps);
	tcase_add_test(tc, a_file_written_in_order_is_one_extent);
	return image_run("file", cases);
}
