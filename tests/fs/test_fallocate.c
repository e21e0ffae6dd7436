/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preallocating, punching and zeroing, on a device whose free blocks are full of an old file's bytes. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

#define SIZE  (UINT64_C(24) << 20)
#define BYTES 200000u
#define BLOCK 1024u

#define PUNCH	  (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO	  FALLOC_FL_ZERO_RANGE
#define ZERO_KEEP (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
#define KEEP	  FALLOC_FL_KEEP_SIZE

static struct image i;
static struct fs_statfs before;
static uint64_t ino;

/* Write letters until nothing fits any more. */
static void fill_device(uint64_t file)
{
	static char letters[1 << 16];
	uint64_t offset = 0;
	ssize_t n;

	memset(letters, 'x', sizeof(letters));
	while ((n = fs_write(i.fs, file, offset, letters, sizeof(letters))) > 0)
		offset += (uint64_t)n;
	ck_assert_int_eq(n, -ENOSPC);
}

static void start(unsigned block_bytes)
{
	uint64_t old;

	image_init_mounted(&i, SIZE, block_bytes);
	old = image_make(&i, INODE_ROOT, "old", S_IFREG | 0600);
	fill_device(old);
	image_settle(&i);
	image_unlink(&i, INODE_ROOT, "old");
	fs_forget(i.fs, old, 1);
	image_settle(&i);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	before = image_statfs(&i);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void remount(void)
{
	fs_forget(i.fs, ino, 1);
	image_remount(&i);
	image_unmount(&i);
	image_check(&i);
	image_mount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
}

static void truncate_to(uint64_t size)
{
	struct fs_attr attr = {.size = size};

	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), 0);
}

static void fallocate_ok(int mode, uint64_t offset, uint64_t len)
{
	ck_assert_int_eq(fs_fallocate(i.fs, ino, mode, offset, len), 0);
}

static uint64_t used_blocks(void)
{
	return image_attr(&i, ino).blocks / (i.geo.block_bytes / 512);
}

static void write_letters(uint64_t offset, size_t size, char letter)
{
	static char data[BYTES];

	memset(data, letter, size);
	image_write(&i, ino, offset, data, size);
}

/* Bytes [from, to) of the file are all this. */
static void assert_bytes(uint64_t from, uint64_t to, char letter)
{
	static char data[BYTES];

	ck_assert_int_eq(fs_read(i.fs, ino, from, data, to - from), (ssize_t)(to - from));
	for (uint64_t n = 0; n < to - from; n++)
		ck_assert_msg(data[n] == letter, "byte %ju is %d", (uintmax_t)(from + n), data[n]);
}

/* A model of the bytes */

static struct {
	uint8_t bytes[BYTES];
	uint64_t size;
} model;

struct range {
	uint64_t from, bytes;
};

static struct range draw_range(uint64_t *seed)
{
	static const unsigned small[] = {1, 50, 145, 1024, 5000, 50000, 150000};
	struct range r;

	r.from = image_random(seed) % small[image_random(seed) % 7];
	r.bytes = 1 + image_random(seed) % small[image_random(seed) % 7];
	if (image_random(seed) % 4 == 0)
		r.from = r.from / 1024 * 1024;
	if (image_random(seed) % 4 == 0)
		r.bytes = (r.bytes + 1023) / 1024 * 1024;
	if (r.bytes > BYTES - r.from)
		r.bytes = BYTES - r.from;
	return r;
}

static void model_write(struct range r, uint64_t *seed)
{
	for (uint64_t n = 0; n < r.bytes; n++)
		model.bytes[r.from + n] = (uint8_t)(image_random(seed) | 1);
	image_write(&i, ino, r.from, model.bytes + r.from, r.bytes);
	if (r.from + r.bytes > model.size)
		model.size = r.from + r.bytes;
}

static void model_truncate(struct range r)
{
	truncate_to(r.from);
	memset(model.bytes + r.from, 0, BYTES - r.from);
	model.size = r.from;
}

static void model_fallocate(struct range r, uint64_t *seed)
{
	static const int modes[] = {0, KEEP, PUNCH, PUNCH, ZERO, ZERO_KEEP};
	int mode = modes[image_random(seed) % 6];

	fallocate_ok(mode, r.from, r.bytes);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(model.bytes + r.from, 0, r.bytes);
	if (!(mode & KEEP) && r.from + r.bytes > model.size)
		model.size = r.from + r.bytes;
}

static void compare(void)
{
	static uint8_t data[BYTES + 1];

	ck_assert_uint_eq(image_attr(&i, ino).size, model.size);
	ck_assert_int_eq(fs_read(i.fs, ino, 0, data, sizeof(data)), (ssize_t)model.size);
	ck_assert_mem_eq(data, model.bytes, model.size);
}

START_TEST(random_programs_agree_with_a_model)
{
	static const unsigned block_sizes[] = {1024, 4096, 65536};
	uint64_t seed = image_seed("fallocate") * 100 + (uint64_t)_i;

	memset(&model, 0, sizeof(model));
	start(block_sizes[_i % 3]);
	for (unsigned n = 0; n < 1500; n++) {
		unsigned what = image_random(&seed) % 100;
		struct range r = draw_range(&seed);

		if (what < 30)
			model_write(r, &seed);
		else if (what < 38)
			model_truncate(r);
		else if (what < 98)
			model_fallocate(r, &seed);
		else
			remount();
		if (n % 10 == 0)
			compare();
	}
	compare();
	remount();
	compare();
	truncate_to(0);
	ck_assert_uint_eq(used_blocks(), 0);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

/* One by one */

START_TEST(preallocated_blocks_read_as_zero_and_have_room)
{
	uint64_t other;

	start(BLOCK);
	fallocate_ok(0, 0, 100 * BLOCK);
	ck_assert_uint_eq(image_attr(&i, ino).size, 100 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 100);
	assert_bytes(0, 100 * BLOCK, 0);
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_device(other);
	/* all over it: the first write splits what is unwritten, the second joins it again */
	write_letters(50 * BLOCK + 10, 20, 'a');
	assert_bytes(50 * BLOCK, 50 * BLOCK + 10, 0);
	assert_bytes(50 * BLOCK + 30, 60 * BLOCK, 0);
	write_letters(0, 100 * BLOCK, 'b');
	remount();
	assert_bytes(0, 100 * BLOCK, 'b');
	ck_assert_uint_eq(used_blocks(), 100);
	finish();
}
END_TEST

START_TEST(blocks_kept_behind_the_end_go_with_a_truncate)
{
	start(BLOCK);
	write_letters(0, 1500, 'a');
	fallocate_ok(KEEP, 0, 50 * BLOCK);
	ck_assert_uint_eq(image_attr(&i, ino).size, 1500);
	ck_assert_uint_eq(used_blocks(), 50);
	remount();
	ck_assert_uint_eq(used_blocks(), 50);
	/* growing keeps them, and they are zero */
	truncate_to(10 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 50);
	assert_bytes(1500, 10 * BLOCK, 0);
	/* an append needs none of its own */
	write_letters(10 * BLOCK, BLOCK, 'c');
	ck_assert_uint_eq(used_blocks(), 50);
	truncate_to(11 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 11);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks - 11);
	assert_bytes(0, 1500, 'a');
	finish();
}
END_TEST

START_TEST(a_punched_range_has_no_blocks_and_zeros)
{
	start(BLOCK);
	write_letters(0, 20 * BLOCK, 'a');
	fallocate_ok(PUNCH, 3 * BLOCK - 10, 5 * BLOCK + 20);
	ck_assert_uint_eq(used_blocks(), 15);
	ck_assert_uint_eq(image_attr(&i, ino).size, 20 * BLOCK);
	remount();
	assert_bytes(0, 3 * BLOCK - 10, 'a');
	assert_bytes(3 * BLOCK - 10, 8 * BLOCK + 10, 0);
	assert_bytes(8 * BLOCK + 10, 20 * BLOCK, 'a');
	/* within a block */
	fallocate_ok(PUNCH, 100, 5);
	assert_bytes(0, 100, 'a');
	assert_bytes(100, 105, 0);
	assert_bytes(105, BLOCK, 'a');
	ck_assert_uint_eq(used_blocks(), 15);
	/* what lies behind the end too */
	fallocate_ok(KEEP, 20 * BLOCK, 20 * BLOCK);
	fallocate_ok(PUNCH, 10 * BLOCK, 1000 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 5);
	finish();
}
END_TEST

START_TEST(a_zeroed_range_has_all_its_blocks)
{
	start(BLOCK);
	write_letters(0, 20 * BLOCK, 'a');
	fallocate_ok(PUNCH, 5 * BLOCK, 2 * BLOCK);
	fallocate_ok(ZERO_KEEP, 2 * BLOCK + 5, 10 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 20);
	assert_bytes(0, 2 * BLOCK + 5, 'a');
	assert_bytes(2 * BLOCK + 5, 12 * BLOCK + 5, 0);
	assert_bytes(12 * BLOCK + 5, 20 * BLOCK, 'a');
	fallocate_ok(ZERO_KEEP, 19 * BLOCK, 5 * BLOCK);
	ck_assert_uint_eq(image_attr(&i, ino).size, 20 * BLOCK);
	fallocate_ok(ZERO, 19 * BLOCK, 5 * BLOCK + 1);
	ck_assert_uint_eq(image_attr(&i, ino).size, 24 * BLOCK + 1);
	ck_assert_uint_eq(used_blocks(), 25);
	remount();
	assert_bytes(12 * BLOCK + 5, 19 * BLOCK, 'a');
	assert_bytes(19 * BLOCK, 24 * BLOCK + 1, 0);
	finish();
}
END_TEST

START_TEST(what_is_zeroed_needs_no_free_block)
{
	uint64_t other;

	start(BLOCK);
	write_letters(0, 50 * BLOCK, 'a');
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_device(other);
	fallocate_ok(ZERO, 0, 50 * BLOCK);
	assert_bytes(0, 50 * BLOCK, 0);
	write_letters(0, 50 * BLOCK, 'b');
	assert_bytes(0, 50 * BLOCK, 'b');
	finish();
}
END_TEST

START_TEST(small_files_stay_in_their_inode)
{
	start(BLOCK);
	write_letters(0, 100, 'a');
	fallocate_ok(0, 50, 90);
	ck_assert_uint_eq(image_attr(&i, ino).size, 140);
	fallocate_ok(PUNCH, 10, 20);
	fallocate_ok(ZERO, 139, 2);
	ck_assert_uint_eq(used_blocks(), 0);
	assert_bytes(0, 10, 'a');
	assert_bytes(10, 30, 0);
	assert_bytes(30, 100, 'a');
	assert_bytes(100, 141, 0);
	/* until they are to have more room than that */
	fallocate_ok(KEEP, 0, 4 * BLOCK);
	ck_assert_uint_eq(used_blocks(), 4);
	ck_assert_uint_eq(image_attr(&i, ino).size, 141);
	remount();
	assert_bytes(30, 100, 'a');
	assert_bytes(100, 141, 0);
	finish();
}
END_TEST

START_TEST(more_than_is_free_is_refused_at_once)
{
	struct fs_attr was, is;

	start(BLOCK);
	write_letters(0, 2000, 'a');
	image_settle(&i);
	was = image_attr(&i, ino);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, 1000, SIZE), -ENOSPC);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, KEEP, UINT64_C(1) << 44, SIZE), -ENOSPC);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, ZERO, 0, SIZE), -ENOSPC);
	is = image_attr(&i, ino);
	ck_assert_mem_eq(&was, &is, sizeof(was));
	assert_bytes(0, 2000, 'a');
	/* but a hole of any size is no more than a hole */
	fallocate_ok(PUNCH, 0, UINT64_C(1) << 50);
	ck_assert_uint_eq(used_blocks(), 0);
	finish();
}
END_TEST

START_TEST(all_that_is_free_can_be_had)
{
	struct fs_statfs s;
	uint64_t n;

	start(4096);
	s = image_statfs(&i);
	/* some are for the tree that the extents need */
	n = s.usable_blocks - 64;
	fallocate_ok(0, 0, n * 4096);
	ck_assert_uint_ge(used_blocks(), n);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, 0, (n + 100) * 4096), -ENOSPC);
	ck_assert_uint_eq(image_attr(&i, ino).size, n * 4096);
	finish();
}
END_TEST

START_TEST(what_was_just_freed_can_be_had)
{
	uint64_t other;

	start(BLOCK);
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_device(other);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, 0, 1000 * BLOCK), -ENOSPC);
	ck_assert_int_eq(fs_fallocate(i.fs, other, PUNCH, 0, 3000 * BLOCK), 0);
	fallocate_ok(0, 0, 2500 * BLOCK);
	assert_bytes(0, 100 * BLOCK, 0);
	finish();
}
END_TEST

/* Files of one block need no tree, so they take what fill_device() leaves for its nodes. */
static void fill_to_the_last_block(uint64_t large)
{
	char name[16];
	uint64_t file;
	ssize_t n = 1;

	fill_device(large);
	for (unsigned k = 0; n > 0; k++) {
		snprintf(name, sizeof(name), "s%u", k);
		file = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
		n = fs_write(i.fs, file, 3 * BLOCK, "x", 1);
		fs_forget(i.fs, file, 1);
	}
	ck_assert_int_eq(n, -ENOSPC);
	ck_assert_uint_eq(image_statfs(&i).usable_blocks, 0);
}

/* The inode has as many extents as it can: the first hole needs a block for a tree. */
START_TEST(holes_are_made_when_no_block_is_left)
{
	uint64_t other;

	start(BLOCK);
	for (unsigned n = 0; n < 180; n += 20)
		write_letters(n * BLOCK, 19 * BLOCK, 'a');
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_to_the_last_block(other);
	for (unsigned n = 1; n < 180; n += 2)
		fallocate_ok(PUNCH, n * BLOCK, BLOCK);
	assert_bytes(BLOCK, 2 * BLOCK, 0);
	assert_bytes(178 * BLOCK, 179 * BLOCK, 'a');
	remount();
	assert_bytes(177 * BLOCK, 178 * BLOCK, 0);
	finish();
}
END_TEST

/* About as many extents as a leaf has room for: one of the first holes splits it. */
#define NR_HOLES 60u

/* Where 2% of the blocks are fewer than one change of a tree may need. */
START_TEST(holes_are_made_in_a_small_full_filesystem)
{
	uint64_t other;

	image_init_mounted(&i, 512 << 10, BLOCK);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	for (unsigned n = 0; n < 4 * NR_HOLES; n += 4)
		write_letters(n * BLOCK, 3 * BLOCK, 'a');
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_to_the_last_block(other);
	for (unsigned n = 1; n < 4 * NR_HOLES; n += 4)
		fallocate_ok(PUNCH, n * BLOCK, BLOCK);
	assert_bytes(BLOCK, 2 * BLOCK, 0);
	assert_bytes((4 * NR_HOLES - 2) * BLOCK, (4 * NR_HOLES - 1) * BLOCK, 'a');
	finish();
}
END_TEST

/* _i: written, or zeroed */
START_TEST(parts_of_what_is_preallocated_change_when_no_block_is_left)
{
	uint64_t other;

	start(BLOCK);
	fallocate_ok(0, 0, 190 * BLOCK);
	if (_i)
		write_letters(0, 190 * BLOCK, 'a');
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	fill_to_the_last_block(other);
	for (unsigned n = 1; n < 190; n += 2) {
		if (_i)
			fallocate_ok(ZERO, n * BLOCK, BLOCK);
		else
			write_letters(n * BLOCK, BLOCK, 'b');
	}
	assert_bytes(100 * BLOCK, 101 * BLOCK, _i ? 'a' : 0);
	assert_bytes(101 * BLOCK, 102 * BLOCK, _i ? 0 : 'b');
	/* but no file gets longer from it */
	ck_assert_int_eq(fs_write(i.fs, ino, 190 * BLOCK, "x", 1), -ENOSPC);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, ZERO, 190 * BLOCK, BLOCK), -ENOSPC);
	finish();
}
END_TEST

/* Every second block of it has its own extent. */
static void make_comb(unsigned nr)
{
	for (unsigned n = 0; n < nr; n++)
		write_letters((2 * n + 1) * UINT64_C(2) * BLOCK, BLOCK, 'a');
}

START_TEST(ranges_of_many_extents_are_done_in_steps)
{
	start(BLOCK);
	make_comb(300);
	fallocate_ok(ZERO, 5 * BLOCK + 1, 590 * 2 * BLOCK);
	remount();
	truncate_to(100 * BLOCK);
	assert_bytes(2 * BLOCK, 3 * BLOCK, 'a');
	assert_bytes(3 * BLOCK, 100 * BLOCK, 0);
	truncate_to(0);
	make_comb(300);
	fallocate_ok(PUNCH, 2 * BLOCK + 100, 300 * 4 * BLOCK);
	/* and the root of a tree */
	ck_assert_uint_eq(used_blocks(), 2);
	assert_bytes(2 * BLOCK, 2 * BLOCK + 100, 'a');
	assert_bytes(2 * BLOCK + 100, 3 * BLOCK, 0);
	make_comb(300);
	fallocate_ok(0, 0, 300 * 4 * BLOCK);
	ck_assert_uint_ge(used_blocks(), 1200);
	ck_assert_uint_eq(image_attr(&i, ino).size, 1200 * BLOCK);
	assert_bytes(0, 2 * BLOCK, 0);
	assert_bytes(6 * BLOCK, 7 * BLOCK, 'a');
	truncate_to(0);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(what_is_refused)
{
	uint64_t dir, fifo, max;

	start(4096);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);
	fifo = image_make(&i, INODE_ROOT, "p", S_IFIFO | 0600);
	max = inode_max_size(i.fs);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, max, 1), -EFBIG);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, 0, 1, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, PUNCH, max - 4, 5), -EFBIG);
	ck_assert_int_eq(fs_fallocate(i.fs, dir, 0, 0, 1), -EISDIR);
	ck_assert_int_eq(fs_fallocate(i.fs, fifo, 0, 0, 1), -ENODEV);
	ck_assert_int_eq(fs_fallocate(i.fs, 999999, 0, 0, 1), -ESTALE);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, FALLOC_FL_INSERT_RANGE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(fs_fallocate(i.fs, ino, ZERO | PUNCH, 0, 1), -EOPNOTSUPP);
	ck_assert_uint_eq(image_attr(&i, ino).size, 0);
	/* the last byte there can be */
	fallocate_ok(0, max - 1, 1);
	ck_assert_uint_eq(image_attr(&i, ino).size, max);
	ck_assert_uint_eq(used_blocks(), 1);
	finish();
}
END_TEST

START_TEST(mtime_and_ctime_move_with_each_call)
{
	static const int modes[] = {0, KEEP, PUNCH, ZERO, ZERO_KEEP};
	const struct timespec old = {1000, 0};

	start(BLOCK);
	write_letters(0, 5000, 'a');
	for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++) {
		struct fs_attr a = {.mtime = old, .ctime = old};

		ck_assert_int_eq(fs_setattr(i.fs, ino, &a, FS_SET_MTIME | FS_SET_CTIME, &a), 0);
		ck_assert_int_eq(a.ctime.tv_sec, 1000);
		fallocate_ok(modes[n], 0, 10);
		a = image_attr(&i, ino);
		ck_assert_int_gt(a.mtime.tv_sec, 1000);
		ck_assert_int_gt(a.ctime.tv_sec, 1000);
	}
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fallocate");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, random_programs_agree_with_a_model, 0, 6);
	tcase_add_test(tc, preallocated_blocks_read_as_zero_and_have_room);
	tcase_add_test(tc, blocks_kept_behind_the_end_go_with_a_truncate);
	tcase_add_test(tc, a_punched_range_has_no_blocks_and_zeros);
	tcase_add_test(tc, a_zeroed_range_has_all_its_blocks);
	tcase_add_test(tc, what_is_zeroed_needs_no_free_block);
	tcase_add_test(tc, small_files_stay_in_their_inode);
	tcase_add_test(tc, more_than_is_free_is_refused_at_once);
	tcase_add_test(tc, all_that_is_free_can_be_had);
	tcase_add_test(tc, what_was_just_freed_can_be_had);
	tcase_add_test(tc, holes_are_made_when_no_block_is_left);
	tcase_add_test(tc, holes_are_made_in_a_small_full_filesystem);
	tcase_add_loop_test(tc, parts_of_what_is_preallocated_change_when_no_block_is_left, 0, 2);
	tcase_add_test(tc, ranges_of_many_extents_are_done_in_steps);
	tcase_add_test(tc, what_is_refused);
	tcase_add_test(tc, mtime_and_ctime_move_with_each_call);
	return image_run("fallocate", cases);
}
