/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a disk may say of a directory: chains, indexes and sizes that lie. */
#include "dir_fixture.h"

#include "balloc.h"
#include "bmap.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (UINT64_C(16) << 20)

static struct dir_area area_make(uint8_t *bytes, unsigned size)
{
	struct dir_area a = {bytes, size};
	struct dir_name n = {"ab", 2};

	area_init(a);
	area_add(a, 0, &n, 5, DT_REG);
	n = (struct dir_name){"cdefg", 5};
	area_add(a, 0, &n, 6, DT_DIR);
	return a;
}

START_TEST(a_chain_that_is_not_sane_is_refused)
{
	static struct fs fs = {.geo = {.nr_groups = 1, .inodes_per_group = 100}};
	static const struct {
		unsigned offset;
		uint8_t value;
	} breaks[] = {
		{0, 101}, /* inode out of range */
		{5, 1},	  /* the same */
		{6, 0},	  /* a name of no bytes */
		{6, 3},	  /* longer than its entry */
		{8, 0},	      {8, 8},
		{8, 13},      {9, 1}, /* rec_len: none, too short, odd, too long */
		{10, 0},      {11, 0},
		{10, '/'},    {11, '/'},   /* in the name */
		{12 + 8, 28}, {12 + 8, 4}, /* the last one ends elsewhere */
	};
	uint8_t bytes[44];
	struct dir_area a = area_make(bytes, sizeof(bytes));

	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, a.size), 0);
	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, a.size - 4), -EUCLEAN);
	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, 0), 0);
	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, 8), -EUCLEAN);
	for (unsigned i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		a = area_make(bytes, sizeof(bytes));
		ck_assert_uint_ne(bytes[breaks[i].offset], breaks[i].value);
		bytes[breaks[i].offset] = breaks[i].value;
		ck_assert_msg(dir_check_entries(&fs, a.bytes, a.size) == -EUCLEAN, "case %u", i);
	}
	a = area_make(bytes, sizeof(bytes));
	memcpy(bytes + 10, "..", 2);
	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, a.size), -EUCLEAN);
	bytes[6] = 1;
	ck_assert_int_eq(dir_check_entries(&fs, a.bytes, a.size), -EUCLEAN);
}
END_TEST

START_TEST(an_index_that_lies_leads_to_an_error)
{
	static const uint64_t positions[] = {0, 4, 32, 36, 1020, 1024, 1056, 1 << 20, 0x3fffffffc};
	struct dir_name n = {"ghost", 5};
	struct dir_entry e;
	struct fixture f;
	int r;

	fixture_init(&f, SIZE, 1024);
	add_many(&f, 0, 300);
	for (unsigned i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		uint64_t key = index_key(f.i.fs, &n, positions[i]);

		begin(&f);
		ck_assert_int_eq(index_insert(&f.t, f.dir, 0, key), 0);
		end(&f);
		r = find(&f, "ghost", &e);
		ck_assert(r == -ENOENT || r == -EUCLEAN);
		begin(&f);
		ck_assert_int_eq(index_delete(&f.t, f.dir, key), 0);
		end(&f);
	}
	expect_many(&f, 0, 300);
	fixture_finish(&f);
}
END_TEST

/* The second half of the index is said to begin much later than it does. */
START_TEST(an_index_whose_halves_disagree_ends_every_search)
{
	const struct disk_node *node;
	struct dir_entry e;
	struct fixture f;
	uint64_t root;
	char name[32];
	uint8_t data[1024];

	fixture_init(&f, SIZE, 1024);
	add_many(&f, 0, 150);
	root = f.dir->special;
	inode_put(f.dir);
	image_unmount(&f.i);
	image_peek(&f.i, root, 0, data, sizeof(data));
	node = (const struct disk_node *)data;
	ck_assert_uint_eq(le16_get(node->level), 1);
	image_break(&f.i, root,
		    sizeof(*node) + (le16_get(node->count) - 1) * sizeof(struct disk_branch) + 7,
		    0xff);
	f.i.options.errors = FS_ERRORS_CONTINUE;
	image_mount(&f.i);
	ck_assert_int_eq(inode_get(f.i.fs, INODE_ROOT, &f.dir), 0);
	for (unsigned n = 0; n < 300; n++) {
		int r;

		snprintf(name, sizeof(name), "entry-%u", n);
		r = find(&f, name, &e);
		ck_assert(r == 0 || r == -ENOENT || r == -EUCLEAN);
	}
	inode_put(f.dir);
	image_finish(&f.i);
}
END_TEST

START_TEST(an_index_key_that_is_missing_stops_the_removal)
{
	struct dir_entry e;
	struct dir_name n = {"entry-7", 7};
	struct fixture f;

	fixture_init(&f, SIZE, 1024);
	add_many(&f, 0, 300);
	begin(&f);
	ck_assert_int_eq(dir_lookup(f.dir, "entry-7", &e), 0);
	ck_assert_int_eq(index_delete(&f.t, f.dir, index_key(f.i.fs, &n, e.position)), 0);
	ck_assert_int_eq(dir_remove(&f.t, f.dir, "entry-7", &e), -EUCLEAN);
	ck_assert_uint_eq(f.dir->nr_entries, 300);
	end(&f);
	fixture_finish(&f);
}
END_TEST

START_TEST(a_directory_at_its_limit_takes_no_more)
{
	struct mapping m = {.count = 1};
	struct bufio_buffer *b;
	struct fixture f;

	fixture_init(&f, SIZE, 4096);
	add_many(&f, 0, 300);
	begin(&f);
	/* one block at the far end, full */
	m.logical = DIR_MAX_BYTES / 4096 - 1;
	ck_assert_int_eq(balloc_alloc_reserved(&f.t, 0, &m.physical), 0);
	ck_assert_int_eq(bmap_insert(&f.t, f.dir, &m), 0);
	ck_assert_int_eq(meta_new(f.i.fs, m.physical, META_DIR, INODE_ROOT, &b), 0);
	ck_assert_int_eq(txn_modify(&f.t, b), 0);
	area_init(area_of_block(b));
	area_entry(area_of_block(b), 0)->ino = le48_make(9);
	area_entry(area_of_block(b), 0)->name_len = 255;
	memset(area_entry(area_of_block(b), 0) + 1, 'q', 4064 - 10);
	f.dir->size = DIR_MAX_BYTES;
	for (unsigned i = 0; i < 3; i++)
		space_note(f.dir, i, 0);
	area_entry(area_of_block(b), 0)->rec_len = le16_make(4064);
	/* room for a name of 255 bytes behind it, many times over: use it up */
	for (unsigned i = 0; dir_add(&f.t, f.dir, "x", 5, DT_REG) == 0; i++)
		ck_assert_uint_lt(i, 4064 / 12);
	ck_assert_int_eq(dir_add(&f.t, f.dir, "x", 5, DT_REG), -ENOSPC);
	ck_assert_uint_eq(f.dir->size, DIR_MAX_BYTES);
	bufio_release(b);
	end(&f);
	fixture_finish(&f);
}
END_TEST

/* A hostile bitmap has the only block among the free ones when the names in it get an index. */
START_TEST(the_block_of_the_names_is_not_taken_for_their_index)
{
	struct fixture f;
	struct mapping m;
	unsigned nr = 40;
	char name[32];
	int r = 0;

	fixture_init(&f, SIZE, 1024);
	add_many(&f, 0, nr);
	image_settle(&f.i);
	begin(&f);
	ck_assert_uint_eq(f.dir->size, 1024);
	ck_assert_int_eq(bmap_lookup(f.dir, 0, 1, &m), 0);
	ck_assert_int_eq(balloc_free(&f.t, m.physical, 1), 0);
	end(&f);
	image_settle(&f.i);
	while (r == 0) {
		snprintf(name, sizeof(name), "entry-%u", nr++);
		r = add(&f, name, 5);
	}
	ck_assert_int_eq(r, -EUCLEAN);
	ck_assert_uint_eq(f.dir->size, 1024);
	inode_put(f.dir);
	image_finish(&f.i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dir");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, a_chain_that_is_not_sane_is_refused);
	tcase_add_test(tc, an_index_that_lies_leads_to_an_error);
	tcase_add_test(tc, an_index_whose_halves_disagree_ends_every_search);
	tcase_add_test(tc, an_index_key_that_is_missing_stops_the_removal);
	tcase_add_test(tc, the_block_of_the_names_is_not_taken_for_their_index);
	tcase_add_test(tc, a_directory_at_its_limit_takes_no_more);
	return image_run("dir_disk", cases);
}
