/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random adds and removes in one directory against a model, with a listing going on between them. */
#include "dir_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (UINT64_C(16) << 20)

/* Listing, in steps of one call each, as a client with a small buffer does it. */

struct listing {
	uint64_t cookie;
	unsigned nr, limit;
	char names[4][NAME_BYTES_MAX + 1];
};

static int take_name(void *context, const struct fs_dirent *entry)
{
	struct listing *l = context;

	if (l->nr == l->limit)
		return 1;
	strcpy(l->names[l->nr++], entry->name);
	l->cookie = entry->cookie;
	return 0;
}

static unsigned list_some(struct fixture *f, struct listing *l, unsigned limit)
{
	l->nr = 0;
	l->limit = limit;
	pthread_rwlock_rdlock(&f->dir->lock);
	ck_assert_int_eq(dir_iterate(f->dir, l->cookie, take_name, l), 0);
	pthread_rwlock_unlock(&f->dir->lock);
	return l->nr;
}

/*
 * Random adds and removes against an array of what there is; and a listing that goes on between them.
 * Those names that were there from its first step to its last must be seen once, others at most once.
 */
#define MODEL_NAMES 700

struct model {
	struct fixture *f;
	unsigned seed;
	uint64_t ino[MODEL_NAMES];     /* 0: not there */
	bool since_start[MODEL_NAMES]; /* of the listing */
	unsigned seen[MODEL_NAMES];
	struct listing listing;
	unsigned listings, changes_in_listing;
};

static unsigned draw(struct model *m, unsigned limit)
{
	return (unsigned)rand_r(&m->seed) % limit;
}

/* A name's number at its front, and a length of its own. */
static void model_name(unsigned i, char *name)
{
	unsigned len = i % 7 == 0 ? 4 + i % 252 : 4 + i % 24;

	memset(name, 'a' + (int)(i % 26), NAME_BYTES_MAX);
	name[snprintf(name, 5, "%04u", i)] = 'x';
	name[len] = 0;
}

static void model_start_listing(struct model *m)
{
	m->listing.cookie = 0;
	m->listings++;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		m->since_start[i] = m->ino[i] != 0;
		m->seen[i] = 0;
	}
}

static void model_list(struct model *m)
{
	char number[5] = {0};
	unsigned nr = list_some(m->f, &m->listing, 1 + draw(m, 4));

	for (unsigned k = 0; k < nr; k++) {
		memcpy(number, m->listing.names[k], 4);
		ck_assert_uint_eq(++m->seen[atoi(number)], 1);
		ck_assert_uint_ne(m->ino[atoi(number)], 0);
	}
	if (nr)
		return;
	for (unsigned i = 0; i < MODEL_NAMES; i++)
		ck_assert(!m->since_start[i] || m->seen[i] == 1);
	model_start_listing(m);
}

static void model_change(struct model *m, unsigned i, unsigned target)
{
	unsigned there = m->f->dir->nr_entries;
	char name[NAME_BYTES_MAX + 1];
	struct dir_entry e;
	int r;

	model_name(i, name);
	r = find(m->f, name, &e);
	ck_assert_int_eq(r, m->ino[i] ? 0 : -ENOENT);
	if (r == 0)
		ck_assert_uint_eq(e.ino, m->ino[i]);
	if (m->ino[i] && draw(m, 100) < (there > target ? 80u : 30u)) {
		ck_assert_int_eq(del(m->f, name), 0);
		m->ino[i] = 0;
		m->since_start[i] = false;
		/* the same name may come again, elsewhere */
		m->seen[i] = 0;
	} else if (!m->ino[i] && draw(m, 100) < (there < target ? 80u : 30u)) {
		m->ino[i] = 2 + draw(m, 1000);
		ck_assert_int_eq(add(m->f, name, m->ino[i]), 0);
	}
}

static void model_compare(struct model *m)
{
	char name[NAME_BYTES_MAX + 1];
	struct dir_entry e;
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		model_name(i, name);
		ck_assert_int_eq(find(m->f, name, &e), m->ino[i] ? 0 : -ENOENT);
		nr += m->ino[i] != 0;
	}
	ck_assert_uint_eq(m->f->dir->nr_entries, nr);
}

START_TEST(random_changes_agree_with_a_model_and_listings_are_stable)
{
	static struct model m;
	struct fixture f;

	memset(&m, 0, sizeof(m));
	m.f = &f;
	m.seed = 1 + (unsigned)_i;
	fixture_init(&f, SIZE, block_sizes[_i % NR_BLOCK_SIZES]);
	model_start_listing(&m);
	for (unsigned phase = 0; phase < 8; phase++) {
		unsigned target = phase % 2 ? 5 : 600;

		for (unsigned step = 0; step < 1500; step++) {
			model_change(&m, draw(&m, MODEL_NAMES), target);
			if (draw(&m, 3) == 0)
				model_list(&m);
		}
		model_compare(&m);
		if (phase % 3 == 2) {
			fixture_remount(&f);
			model_compare(&m);
		}
	}
	ck_assert_uint_gt(m.listings, 10);
	fixture_finish(&f);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dir");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, random_changes_agree_with_a_model_and_listings_are_stable, 0, 4);
	return image_run("dir_model", cases);
}
