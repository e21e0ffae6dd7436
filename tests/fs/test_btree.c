/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree against a sorted array, and trees that lie. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balloc.h"
#include "btree.h"

#define SIZE  (UINT64_C(16) << 20)
#define OWNER 77

static struct image i;
static struct btree tree;

static void setup(void)
{
	image_init_mounted(&i, SIZE, 1024);
	tree = (struct btree){.fs = i.fs, .kind = META_INDEX, .owner = OWNER};
}

static void teardown(void)
{
	image_finish(&i);
}

static int insert(uint64_t key)
{
	le64 record = le64_make(key);
	struct txn t;
	int r;

	ck_assert_int_eq(txn_start(i.fs, BTREE_INSERT_BLOCKS, &t), 0);
	r = btree_insert(&tree, &t, 1000, &record);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

static int delete (uint64_t key)
{
	struct txn t;
	int r;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	r = btree_delete(&tree, &t, key);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

static int count_node(void *context, uint64_t block, unsigned level, const void *data)
{
	++*(int64_t *)context;
	return 0;
}

static void check_sum(uint64_t free_at_start)
{
	int64_t nodes = 0;

	image_settle(&i);
	ck_assert_int_eq(btree_walk(&tree, count_node, &nodes), 0);
	ck_assert_int_eq(nodes, tree.delta_blocks);
	ck_assert_uint_eq(free_at_start - atomic_load(&i.fs->free_blocks), (uint64_t)nodes);
	ck_assert_uint_eq(atomic_load(&i.fs->free_blocks), atomic_load(&i.fs->unreserved_blocks));
}

#define KEYS 20000u

static void check_near(const bool *model, uint64_t key)
{
	uint64_t le = key, ge = key;
	le64 record;
	int r;

	while (le && !model[le])
		le--;
	while (ge < KEYS && !model[ge])
		ge++;
	r = btree_find_le(&tree, key, &record);
	ck_assert_int_eq(r, model[le] ? 0 : -ENOENT);
	if (r == 0)
		ck_assert_uint_eq(le64_get(record), le);
	r = btree_find_ge(&tree, key, &record);
	ck_assert_int_eq(r, ge < KEYS ? 0 : -ENOENT);
	if (r == 0)
		ck_assert_uint_eq(le64_get(record), ge);
}

START_TEST(tree_agrees_with_a_model)
{
	uint64_t seed = image_seed("btree"), start = atomic_load(&i.fs->free_blocks);
	bool *model = calloc(KEYS + 1, sizeof(*model));

	for (unsigned round = 0; round < 60000; round++) {
		/* it grows, then shrinks, then grows */
		bool grow = image_random(&seed) % 100 < (round / 20000 == 1 ? 10u : 80u);
		uint64_t key = image_random(&seed) % KEYS;

		if (grow)
			ck_assert_int_eq(insert(key), model[key] ? -EEXIST : 0);
		else
			ck_assert_int_eq(delete (key), model[key] ? 0 : -ENOENT);
		model[key] = grow;
		if (round % 16 == 0)
			check_near(model, image_random(&seed) % KEYS);
		if (round % 5000 == 0)
			check_sum(start);
	}
	image_remount(&i);
	tree.fs = i.fs;
	for (uint64_t key = 0; key < KEYS; key += 7)
		check_near(model, key);
	for (uint64_t key = 0; key < KEYS; key++) {
		if (model[key])
			ck_assert_int_eq(delete (key), 0);
	}
	ck_assert_uint_eq(tree.root, 0);
	ck_assert_uint_eq(atomic_load(&i.fs->free_blocks), start);
	free(model);
}
END_TEST

START_TEST(sequential_growth_fills_its_nodes)
{
	for (uint64_t key = 0; key < 12200; key++)
		ck_assert_int_eq(insert(key), 0);
	/* 123 records in a leaf of 1024 bytes, 61 children above */
	ck_assert_int_le(tree.delta_blocks, 100 + 2 + 1);
}
END_TEST

START_TEST(descending_growth_is_found_again)
{
	le64 record;

	for (uint64_t key = 5000; key--;)
		ck_assert_int_eq(insert(key), 0);
	for (uint64_t key = 0; key < 5000; key++) {
		ck_assert_int_eq(btree_find_ge(&tree, key, &record), 0);
		ck_assert_uint_eq(le64_get(record), key);
	}
}
END_TEST

START_TEST(insert_without_a_reservation_changes_nothing)
{
	uint64_t free_blocks, key;
	le64 record, found;
	struct txn t;
	int r = 0;

	for (key = 0; key < 123; key++)
		ck_assert_int_eq(insert(key), 0);
	free_blocks = atomic_load(&i.fs->free_blocks);
	record = le64_make(key);
	ck_assert_int_eq(txn_start(i.fs, 1, &t), 0); /* a split and a new root take two */
	r = btree_insert(&tree, &t, 0, &record);
	ck_assert_int_eq(txn_stop(&t), 0);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_eq(atomic_load(&i.fs->free_blocks), free_blocks);
	ck_assert_int_eq(btree_find_ge(&tree, key, &found), -ENOENT);
	ck_assert_int_eq(btree_find_le(&tree, key, &found), 0);
	ck_assert_uint_eq(le64_get(found), key - 1);
}
END_TEST

/* offset in the root, new byte */
static const struct {
	unsigned offset;
	uint8_t byte;
} lies[] = {
	{32,
	 0}, /* level: says leaf, so its branches are out of order records or its children no leaves */
	{32, 2},    /* level one too high */
	{32, 9},    /* level no tree has */
	{34, 0},    /* an inner node without children */
	{35, 0xff}, /* more entries than fit */
	{48, 0},    /* the first child is the superblock */
	{53, 1},    /* the first child is far away */
	{63, 0xff}, /* keys not in order */
};

START_TEST(lying_node_is_refused)
{
	le64 record;
	int64_t nodes = 0;
	int r;

	for (uint64_t key = 0; key < 400; key++)
		ck_assert_int_eq(insert(key * 1000), 0);
	image_unmount(&i);
	image_break(&i, tree.root, lies[_i].offset, lies[_i].byte);
	image_mount(&i);
	tree.fs = i.fs;
	r = btree_find_ge(&tree, 0, &record);
	if (r == 0)
		r = btree_walk(&tree, count_node, &nodes);
	ck_assert_int_eq(r, -EUCLEAN);
}
END_TEST

START_TEST(tree_of_another_owner_is_refused)
{
	le64 record;

	ck_assert_int_eq(insert(5), 0);
	tree.owner = OWNER + 1;
	ck_assert_int_eq(btree_find_ge(&tree, 0, &record), -EUCLEAN);
	tree.owner = OWNER;
	tree.kind = META_EXTENT;
	ck_assert_int_eq(btree_find_ge(&tree, 0, &record), -EUCLEAN);
}
END_TEST

/* A hostile bitmap has the leaf that is split among the free blocks. */
START_TEST(node_in_use_is_not_taken_for_a_new_one)
{
	le64 record = le64_make(123);
	struct txn t;

	for (uint64_t key = 0; key < 123; key++)
		ck_assert_int_eq(insert(key), 0);
	image_settle(&i);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	ck_assert_int_eq(balloc_free(&t, tree.root, 1), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	image_settle(&i);
	ck_assert_int_eq(txn_start(i.fs, BTREE_INSERT_BLOCKS, &t), 0);
	ck_assert_int_eq(btree_insert(&tree, &t, tree.root, &record), -EUCLEAN);
	ck_assert_int_eq(txn_stop(&t), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("btree");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tree_agrees_with_a_model);
	tcase_add_test(tc, sequential_growth_fills_its_nodes);
	tcase_add_test(tc, descending_growth_is_found_again);
	tcase_add_test(tc, insert_without_a_reservation_changes_nothing);
	tcase_add_loop_test(tc, lying_node_is_refused, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, node_in_use_is_not_taken_for_a_new_one);
	tcase_add_test(tc, tree_of_another_owner_is_refused);
	return image_run("btree", cases);
}
