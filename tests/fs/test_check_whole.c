/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a check mends is never on the device half mended, where the next check would find it if this one were
 * killed.  It is the program's block_store() that the check calls.
 */
#include "image.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "check_priv.h"
#include "fsck.h"

#define BLOCK 4096u

/* For write-back to get as far as it can; it may have to wait for the check. */
#define PATIENCE_MS 300

void __real_block_store(struct check *c, struct bufio_buffer *b);
void __wrap_block_store(struct check *c, struct bufio_buffer *b);

static struct image i;
static unsigned nr_stored;

struct writer {
	pthread_t thread;
	struct bufio_client *client;
	uint64_t block;
};

static void *write_back(void *context)
{
	const struct writer *w = context;

	ck_assert_int_eq(bufio_write_unpinned(w->client, w->block, 1), 0);
	return NULL;
}

static bool is_written(struct writer *w)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PATIENCE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_timedjoin_np(w->thread, NULL, &until) == 0;
}

/* The block is changed, and its checksum is not: now write-back comes, to a block that was mended before. */
void __wrap_block_store(struct check *c, struct bufio_buffer *b)
{
	struct writer w = {.client = c->fs.bufio, .block = bufio_block(b)};
	char before[BLOCK], after[BLOCK];
	bool written;

	nr_stored++;
	image_peek(&i, w.block, 0, before, sizeof(before));
	bufio_mark_dirty(b);
	ck_assert_int_eq(pthread_create(&w.thread, NULL, write_back, &w), 0);
	written = is_written(&w);
	image_peek(&i, w.block, 0, after, sizeof(after));
	ck_assert_mem_eq(after, before, sizeof(after));
	__real_block_store(c, b);
	if (!written)
		pthread_join(w.thread, NULL);
}

START_TEST(no_block_is_written_before_it_is_whole)
{
	const struct check_options repair = {.mode = CHECK_REPAIR};
	struct check_result result;

	image_init_mounted(&i, 32 << 20, BLOCK);
	fs_forget(i.fs, image_make(&i, INODE_ROOT, "file", S_IFREG | 0600), 1);
	image_unmount(&i);
	image_break(&i, 1, DISK_HEAD_BYTES, 0x55);
	ck_assert_int_eq(check_fs(i.engine, &repair, &result), 0);
	ck_assert_uint_gt(result.problems, 0);
	ck_assert_uint_gt(nr_stored, 0);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("whole");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, no_block_is_written_before_it_is_whole);
	return image_run("check_whole", cases);
}
