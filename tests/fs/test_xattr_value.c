/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values in blocks of their own: what write-back does while one is made.  It is the program's meta_stamp() that the
 * filesystem calls.
 */
#include "image.h"

#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "meta.h"

#define BLOCK 4096u

bool __real_meta_stamp(const struct fs *fs, struct bufio_buffer *b, uint64_t seq);
bool __wrap_meta_stamp(const struct fs *fs, struct bufio_buffer *b, uint64_t seq);

static struct image i;
static unsigned nr_values;
static char before[BLOCK], after[BLOCK];

/* A value is in its block, without the checksum: now write-back comes. */
bool __wrap_meta_stamp(const struct fs *fs, struct bufio_buffer *b, uint64_t seq)
{
	const struct disk_head *h = bufio_data(b);

	if (le32_get(h->magic) == MAGIC_XATTR_VALUE) {
		nr_values++;
		ck_assert(log_is_live(fs->log, bufio_block(b)));
		image_peek(&i, bufio_block(b), 0, before, sizeof(before));
		ck_assert_int_eq(bufio_write_unpinned(fs->bufio, bufio_block(b), 1), 0);
		image_peek(&i, bufio_block(b), 0, after, sizeof(after));
		ck_assert_mem_eq(after, before, sizeof(after));
	}
	return __real_meta_stamp(fs, b, seq);
}

/* Blocks that are free, and whose contents are dirty in the cache: the log has an image of them. */
static void make_dirty_free_blocks(void)
{
	static const char data[3 * BLOCK] = "what stood there";
	uint32_t cursor = i.fs->groups[0].block_cursor;
	uint64_t ino = image_make(&i, 1, "file", S_IFREG | 0600);

	image_write(&i, ino, 0, data, sizeof(data));
	ck_assert_int_eq(fs_fsync(i.fs, ino, false), 0);
	image_unlink(&i, 1, "file");
	fs_forget(i.fs, ino, 1);
	ck_assert_int_eq(log_commit_open(i.fs->log), 0);
	i.fs->groups[0].block_cursor = cursor;
}

START_TEST(a_value_is_not_written_before_it_is_whole)
{
	static const char value[2 * BLOCK] = "a value";
	uint64_t ino;

	image_init_mounted(&i, 32 << 20, BLOCK);
	ino = image_make(&i, 1, "holder", S_IFREG | 0600);
	make_dirty_free_blocks();
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", value, sizeof(value)}, 0), 0);
	ck_assert_uint_eq(nr_values, 3);
	fs_forget(i.fs, ino, 1);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("values");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, a_value_is_not_written_before_it_is_whole);
	return image_run("xattr_value", cases);
}
