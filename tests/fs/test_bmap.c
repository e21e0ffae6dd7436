/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The map of a file: random changes against an array, and the merges and splits one by one. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "balloc.h"
#include "bmap.h"
#include "btree.h"
#include "extents.h"

#define SIZE	  (UINT64_C(32) << 20)
#define BLOCK	  1024u
#define NR_BLOCKS 3000u

struct mapped {
	uint64_t physical; /* 0: a hole */
	bool unwritten;
};

static struct image i;
static struct inode *inode;
static struct mapped model[NR_BLOCKS];
static struct fs_statfs before;
static uint64_t ino;

static void setup_size(uint64_t size_bytes)
{
	struct fs_attr attr = {.size = NR_BLOCKS * BLOCK};

	memset(model, 0, sizeof(model));
	image_init_mounted(&i, size_bytes, BLOCK);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	/* as large as it gets, so that no block is past its size */
	ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), 0);
	before = image_statfs(&i);
	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
}

static void setup(void)
{
	setup_size(SIZE);
}

/* No other group has blocks when this one cannot be read. */
static void setup_one_group(void)
{
	setup_size(UINT64_C(7) << 20);
	ck_assert_uint_eq(i.geo.nr_groups, 1);
}

static void teardown(void)
{
	inode_put(inode);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void begin(struct txn *t)
{
	ck_assert_int_eq(txn_start(i.fs, 2 * BTREE_INSERT_BLOCKS, t), 0);
	pthread_rwlock_wrlock(&inode->lock);
}

static void end(struct txn *t)
{
	ck_assert_int_eq(inode_store(t, inode), 0);
	pthread_rwlock_unlock(&inode->lock);
	ck_assert_int_eq(txn_stop(t), 0);
}

static void set(uint64_t logical, uint64_t count, uint64_t physical, bool unwritten)
{
	for (uint64_t n = 0; n < count; n++)
		model[logical + n] = (struct mapped){physical ? physical + n : 0, unwritten};
}

static uint64_t hole_at(uint64_t logical)
{
	uint64_t n = logical;

	while (n < NR_BLOCKS && !model[n].physical)
		n++;
	return n - logical;
}

static void fill(uint64_t logical, uint64_t count)
{
	struct mapping m;
	struct txn t;

	begin(&t);
	ck_assert_int_eq(bmap_alloc(&t, inode, logical, count, &m), 0);
	end(&t);
	ck_assert_uint_eq(m.logical, logical);
	ck_assert_uint_ge(m.count, 1);
	ck_assert_uint_le(m.count, count);
	set(logical, m.count, m.physical, false);
}

static void preallocate(uint64_t logical, uint64_t count)
{
	struct mapping m = {.logical = logical, .unwritten = true};
	uint32_t got;
	struct txn t;

	begin(&t);
	ck_assert_int_eq(
		balloc_alloc(&t, bmap_goal(inode, logical), (uint32_t)count, &m.physical, &got), 0);
	m.count = got;
	ck_assert_int_eq(bmap_insert(&t, inode, &m), 0);
	end(&t);
	set(logical, m.count, m.physical, true);
}

static void write_some(uint64_t logical, uint64_t count)
{
	struct txn t;
	int r = -EINVAL;

	if (model[logical].physical && model[logical].unwritten)
		r = 0;
	for (uint64_t n = 1; n < count && r == 0; n++) {
		if (model[logical + n].physical != model[logical].physical + n ||
		    !model[logical + n].unwritten)
			return; /* perhaps two extents */
	}
	if (!model[logical].physical)
		return;
	begin(&t);
	ck_assert_int_eq(bmap_set_written(&t, inode, logical, count), r);
	end(&t);
	for (uint64_t n = 0; n < count && r == 0; n++)
		model[logical + n].unwritten = false;
}

static void punch(uint64_t logical, uint64_t end_logical)
{
	struct txn t;
	int r;

	do {
		begin(&t);
		r = bmap_remove(&t, inode, logical, end_logical);
		ck_assert_int_ge(r, 0);
		end(&t);
	} while (r);
	set(logical, (end_logical < NR_BLOCKS ? end_logical : NR_BLOCKS) - logical, 0, false);
}

/* What bmap_lookup() and bmap_next() say is what the array says. */
static void compare(void)
{
	uint64_t mapped = 0, n = 0;
	struct mapping m, next;
	int r;

	while (n < NR_BLOCKS) {
		ck_assert_int_eq(bmap_lookup(inode, n, NR_BLOCKS - n, &m), 0);
		ck_assert_uint_eq(m.logical, n);
		ck_assert_uint_gt(m.count, 0);
		r = bmap_next(inode, n, &next);
		if (m.physical)
			ck_assert(r == 0 && next.logical == n && next.physical == m.physical);
		else
			ck_assert(r == -ENOENT || next.logical == n + m.count);
		for (uint64_t k = 0; k < m.count; k++) {
			const struct mapped *want = &model[n + k];

			ck_assert_uint_eq(want->physical, m.physical ? m.physical + k : 0);
			ck_assert(!want->physical || want->unwritten == m.unwritten);
			mapped += want->physical != 0;
		}
		n += m.count;
	}
	ck_assert_uint_ge(inode->blocks, mapped);
	ck_assert_uint_eq(before.free_blocks - image_statfs(&i).free_blocks, inode->blocks);
}

static void random_change(uint64_t *seed)
{
	uint64_t logical = image_random(seed) % NR_BLOCKS, most = NR_BLOCKS - logical;
	uint64_t count = 1 + image_random(seed) % (image_random(seed) % 4 ? 4 : 60);

	if (count > most)
		count = most;
	switch (image_random(seed) % 8) {
	case 0:
	case 1:
	case 2:
		if (hole_at(logical))
			fill(logical, count < hole_at(logical) ? count : hole_at(logical));
		break;
	case 3:
	case 4:
		if (hole_at(logical))
			preallocate(logical, count < hole_at(logical) ? count : hole_at(logical));
		break;
	case 5:
	case 6:
		write_some(logical, count);
		break;
	default:
		punch(logical, logical + 1 + image_random(seed) % 20);
	}
}

START_TEST(random_changes_agree_with_an_array)
{
	uint64_t seed = image_seed("bmap") * 100 + (uint64_t)_i;

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned n = 0; n < 1500; n++)
			random_change(&seed);
		compare();
		if (round == 1)
			punch(NR_BLOCKS / 3, BMAP_END);
		compare();
	}
	ck_assert_uint_eq(inode->data_format, DATA_TREE);
	punch(0, BMAP_END);
	compare();
	ck_assert_uint_eq(inode->blocks, 0);
	ck_assert_uint_eq(inode->data_format, DATA_NONE);
}
END_TEST

/* Extents that the inode has. */
static unsigned nr_extents(void)
{
	struct mapping m;
	unsigned nr = 0;

	for (uint64_t at = 0; bmap_next(inode, at, &m) == 0; at = m.logical + m.count)
		nr++;
	return nr;
}

START_TEST(neighbours_become_one_extent)
{
	struct mapping m = {.count = 1};
	struct txn t;

	fill(0, 10);
	fill(10, 10);
	ck_assert_uint_eq(nr_extents(), 1);
	punch(9, 10);
	ck_assert_uint_eq(nr_extents(), 2);
	/* the very block that was there joins both sides */
	begin(&t);
	m.logical = 9;
	m.physical = model[8].physical + 1;
	ck_assert_int_eq(bmap_insert(&t, inode, &m), 0);
	end(&t);
	ck_assert_uint_eq(nr_extents(), 1);
	begin(&t);
	ck_assert_int_eq(bmap_insert(&t, inode, &m), -EUCLEAN);
	m = (struct mapping){.logical = 5, .physical = 9, .count = 0};
	ck_assert_int_eq(bmap_insert(&t, inode, &m), -EINVAL);
	m = (struct mapping){.logical = BMAP_END - 1, .physical = 9, .count = 2};
	ck_assert_int_eq(bmap_insert(&t, inode, &m), -EINVAL);
	/* give the block its bit back: insert does not take it */
	ck_assert_int_eq(bmap_remove(&t, inode, 10, BMAP_END), 0);
	inode->blocks -= 10;
	ck_assert_int_eq(extents_delete(&t, inode, 0), 0);
	ck_assert_int_eq(balloc_free(&t, model[0].physical, 9), 0);
	end(&t);
	set(0, NR_BLOCKS, 0, false);
	compare();
}
END_TEST

START_TEST(what_is_unwritten_does_not_join_what_is_written)
{
	preallocate(0, 30);
	fill(30, 1);
	ck_assert_uint_eq(nr_extents(), 2);
	write_some(10, 5);
	ck_assert_uint_eq(nr_extents(), 4);
	write_some(0, 10);
	write_some(15, 15);
	ck_assert_uint_eq(nr_extents(), 1);
	compare();
}
END_TEST

START_TEST(writing_on_and_on_into_what_is_unwritten_needs_no_tree)
{
	for (unsigned n = 0; n < 7; n++)
		fill(100 + 2 * n, 1);
	preallocate(0, 30);
	for (unsigned n = 0; n < 30; n += 5) {
		write_some(n, 5);
		ck_assert_uint_eq(nr_extents(), n < 25 ? 9 : 8);
		ck_assert_uint_eq(inode->data_format, DATA_EXTENTS);
	}
	compare();
}
END_TEST

/* Remove a block within the last extent, in a cold cache; the nth I/O fails, and all after it. */
static bool remove_with_fault(uint64_t logical, unsigned n, int *ret_result)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_ANY, .first = n, .error = -EIO};
	struct txn t;
	bool failed;

	inode_put(inode);
	fs_forget(i.fs, ino, 1);
	image_remount(&i);
	ck_assert_int_eq(inode_get(i.fs, image_lookup(&i, INODE_ROOT, "f"), &inode), 0);
	begin(&t);
	bufio_engine_fault_set(i.engine, &fault);
	*ret_result = bmap_remove(&t, inode, logical, logical + 1);
	failed = bufio_engine_fault_failed(i.engine) > 0;
	bufio_engine_fault_set(i.engine, NULL);
	end(&t);
	return failed;
}

/* The leaf is full: the extent that is split needs a node for what is behind the hole. */
START_TEST(a_split_that_fails_loses_no_block)
{
	unsigned full = (BLOCK - 40) / 16;
	bool failed = true;
	struct mapping m;
	int r;

	for (unsigned n = 0; n < full - 1; n++)
		fill(2 * n, 1);
	fill(500, 50);
	ck_assert_uint_eq(nr_extents(), full);
	for (unsigned n = 1; failed; n++) {
		failed = remove_with_fault(510, n, &r);
		ck_assert(r == 0 || failed);
		for (unsigned k = 500; k < 550; k++) {
			ck_assert_int_eq(bmap_lookup(inode, k, 1, &m), 0);
			if (k != 510)
				ck_assert_uint_eq(m.physical, model[k].physical);
		}
		ck_assert_uint_lt(n, 20);
	}
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("bmap"), *faults = tcase_create("faults");
	TCase *const cases[] = {tc, faults, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, random_changes_agree_with_an_array, 0, 4);
	tcase_add_test(tc, neighbours_become_one_extent);
	tcase_add_test(tc, what_is_unwritten_does_not_join_what_is_written);
	tcase_add_test(tc, writing_on_and_on_into_what_is_unwritten_needs_no_tree);
	tcase_add_checked_fixture(faults, setup_one_group, NULL);
	tcase_add_test(faults, a_split_that_fails_loses_no_block);
	return image_run("bmap", cases);
}
