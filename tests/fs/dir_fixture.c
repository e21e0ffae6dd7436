/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir_fixture.h"

#include <dirent.h>
#include <stdio.h>

void begin(struct fixture *f)
{
	ck_assert_int_eq(txn_start(f->i.fs, DIR_ADD_BLOCKS, &f->t), 0);
	pthread_rwlock_wrlock(&f->dir->lock);
}

void end(struct fixture *f)
{
	ck_assert_int_eq(inode_store(&f->t, f->dir), 0);
	pthread_rwlock_unlock(&f->dir->lock);
	ck_assert_int_eq(txn_stop(&f->t), 0);
}

static void fixture_get(struct fixture *f)
{
	ck_assert_int_eq(inode_get(f->i.fs, INODE_ROOT, &f->dir), 0);
}

void fixture_init(struct fixture *f, uint64_t size_bytes, unsigned block_bytes)
{
	image_init_mounted(&f->i, size_bytes, block_bytes);
	fixture_get(f);
}

void fixture_remount(struct fixture *f)
{
	inode_put(f->dir);
	image_remount(&f->i);
	fixture_get(f);
}

void fixture_finish(struct fixture *f)
{
	inode_put(f->dir);
	image_unmount(&f->i);
	image_finish(&f->i);
}

int add(struct fixture *f, const char *name, uint64_t ino)
{
	int r;

	begin(f);
	r = dir_add(&f->t, f->dir, name, ino, DT_REG);
	end(f);
	return r;
}

int find(struct fixture *f, const char *name, struct dir_entry *ret)
{
	int r;

	pthread_rwlock_rdlock(&f->dir->lock);
	r = dir_lookup(f->dir, name, ret);
	pthread_rwlock_unlock(&f->dir->lock);
	return r;
}

int del(struct fixture *f, const char *name)
{
	struct dir_entry e;
	int r;

	begin(f);
	r = dir_lookup(f->dir, name, &e);
	if (r == 0)
		r = dir_remove(&f->t, f->dir, name, &e);
	end(f);
	return r;
}

void add_many(struct fixture *f, unsigned from, unsigned to)
{
	char name[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		ck_assert_int_eq(add(f, name, 2 + i % 200), 0);
	}
}

void del_many(struct fixture *f, unsigned from, unsigned to)
{
	char name[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		ck_assert_int_eq(del(f, name), 0);
	}
}

void expect_many(struct fixture *f, unsigned from, unsigned to)
{
	struct dir_entry e;
	char name[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(name, sizeof(name), "entry-%u", i);
		ck_assert_int_eq(find(f, name, &e), 0);
		ck_assert_uint_eq(e.ino, 2 + i % 200);
		ck_assert_uint_eq(e.type, DT_REG);
	}
}
