/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Heads and checksums of blocks, as they leave and enter the cache; operations. */
#include "image.h"

#include <errno.h>
#include <string.h>

#include "meta.h"
#include "txn.h"

#define BLOCK 3000
#define OWNER 12

static struct image i;

static void setup(void)
{
	image_init_mounted(&i, 8 << 20, 1024);
	i.fs->options.errors = FS_ERRORS_CONTINUE;
}

static void teardown(void)
{
	image_finish(&i);
}

/* Write a block of kind and look at it with an empty cache. */
static void store(enum meta_kind kind, uint8_t fill)
{
	struct bufio_buffer *b;
	struct txn t;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	ck_assert_int_eq(meta_new(i.fs, BLOCK, kind, OWNER, &b), 0);
	ck_assert_int_eq(txn_modify(&t, b), 0);
	((uint8_t *)bufio_data(b))[100] = fill;
	bufio_release(b);
	ck_assert_int_eq(txn_stop(&t), 0);
	image_settle(&i);
	ck_assert_int_eq(bufio_drop_buffers(i.fs->bufio), 0);
}

static int load(enum meta_kind kind, uint64_t owner, meta_check *check)
{
	struct bufio_buffer *b;
	int r = meta_read(i.fs, BLOCK, &(struct meta_expected){kind, owner, check}, &b);

	if (r == 0)
		bufio_release(b);
	else
		ck_assert_ptr_null(b);
	return r;
}

START_TEST(stored_block_is_read_again)
{
	uint8_t data[1024];

	for (enum meta_kind kind = META_DATA; kind < META_NR_KINDS; kind++) {
		store(kind, 7);
		image_peek(&i, BLOCK, 0, data, sizeof(data));
		ck_assert_uint_eq(data[100], 7);
		ck_assert_int_eq(meta_verify_raw(i.fs, BLOCK, kind, OWNER, data), 0);
		ck_assert_int_eq(load(kind, OWNER, NULL), 0);
	}
}
END_TEST

/* Every byte of the block is guarded by the crc or compared. */
START_TEST(broken_byte_is_found)
{
	const unsigned offsets[] = {0, 4, 8, 16, 24, 31, 32, 100, 1023};
	uint8_t byte;

	store(META_DIR, 7);
	image_peek(&i, BLOCK, offsets[_i], &byte, 1);
	byte ^= 0x10;
	image_poke(&i, BLOCK, offsets[_i], &byte, 1);
	ck_assert_int_eq(load(META_DIR, OWNER, NULL), -EUCLEAN);
}
END_TEST

START_TEST(wrong_kind_or_owner_is_refused)
{
	store(META_DIR, 7);
	ck_assert_int_eq(load(META_EXTENT, OWNER, NULL), -EUCLEAN);
	ck_assert_int_eq(load(META_DIR, OWNER + 1, NULL), -EUCLEAN);
	ck_assert_int_eq(load(META_DIR, OWNER, NULL), 0);
	ck_assert_int_eq(load(META_EXTENT, OWNER, NULL), -EUCLEAN);
	ck_assert_int_eq(load(META_ITABLE, OWNER, NULL), -EUCLEAN);
}
END_TEST

START_TEST(misplaced_block_is_refused)
{
	uint8_t data[1024];
	struct bufio_buffer *b;

	store(META_DIR, 7);
	image_peek(&i, BLOCK, 0, data, sizeof(data));
	image_poke(&i, BLOCK + 1, 0, data, sizeof(data));
	ck_assert_int_eq(
		meta_read(i.fs, BLOCK + 1, &(struct meta_expected){META_DIR, OWNER, NULL}, &b),
		-EUCLEAN);
}
END_TEST

static int refuse_seven(const struct fs *fs, const void *data)
{
	return ((const uint8_t *)data)[100] == 7 ? -EUCLEAN : 0;
}

START_TEST(check_is_asked_when_a_block_enters)
{
	store(META_DIR, 7);
	ck_assert_int_eq(load(META_DIR, OWNER, refuse_seven), -EUCLEAN);
	store(META_DIR, 8);
	ck_assert_int_eq(load(META_DIR, OWNER, refuse_seven), 0);
}
END_TEST

START_TEST(file_that_looks_like_metadata_is_not_stamped)
{
	uint8_t data[1024], after[1024];
	struct bufio_buffer *b;

	store(META_DIR, 7);
	ck_assert_int_eq(bufio_read(i.fs->bufio, BLOCK, &b), 0);
	((uint8_t *)bufio_data(b))[500] = 0x55;
	memcpy(data, bufio_data(b), sizeof(data));
	bufio_mark_dirty(b);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	image_peek(&i, BLOCK, 0, after, sizeof(after));
	ck_assert_mem_eq(data, after, sizeof(data));
}
END_TEST

START_TEST(read_error_is_the_devices)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ, .error = -EIO};

	store(META_DIR, 7);
	bufio_engine_fault_set(i.engine, &fault);
	ck_assert_int_eq(load(META_DIR, OWNER, NULL), -EIO);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_int_eq(load(META_DIR, OWNER, NULL), 0);
}
END_TEST

#define MANY 100u

START_TEST(operation_of_many_blocks_is_written_whole)
{
	struct bufio_buffer *b;
	struct txn t;
	uint8_t byte;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	for (unsigned k = 0; k < MANY; k++) {
		ck_assert_int_eq(meta_new(i.fs, BLOCK + k, META_DATA, 0, &b), 0);
		ck_assert_int_eq(txn_modify(&t, b), 0);
		ck_assert_int_eq(txn_modify(&t, b), 0);
		((uint8_t *)bufio_data(b))[0] = (uint8_t)(k + 1);
		bufio_release(b);
	}
	bufio_write_dirty_buffers_async(i.fs->bufio);
	image_peek(&i, BLOCK, 0, &byte, 1);
	ck_assert_uint_eq(byte, 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_settle(&i);
	for (unsigned k = 0; k < MANY; k++) {
		image_peek(&i, BLOCK + k, 0, &byte, 1);
		ck_assert_uint_eq(byte, k + 1);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("meta");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, stored_block_is_read_again);
	tcase_add_loop_test(tc, broken_byte_is_found, 0, 9);
	tcase_add_test(tc, wrong_kind_or_owner_is_refused);
	tcase_add_test(tc, misplaced_block_is_refused);
	tcase_add_test(tc, check_is_asked_when_a_block_enters);
	tcase_add_test(tc, file_that_looks_like_metadata_is_not_stamped);
	tcase_add_test(tc, read_error_is_the_devices);
	tcase_add_test(tc, operation_of_many_blocks_is_written_whole);
	return image_run("meta", cases);
}
