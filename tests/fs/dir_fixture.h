/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_DIR_FIXTURE_H
#define TEST_DIR_FIXTURE_H

/*
 * The root directory of an empty filesystem, for tests of dir.c and its parts.  Its names point to inodes that
 * do not exist: check_fs() would have its say about these.
 */
#include "dir_parts.h"
#include "image.h"

struct fixture {
	struct image i;
	struct inode *dir;
	struct txn t;
};

static const unsigned block_sizes[] = {1024, 4096};
#define NR_BLOCK_SIZES 2

void fixture_init(struct fixture *f, uint64_t size_bytes, unsigned block_bytes);
void fixture_remount(struct fixture *f);
void fixture_finish(struct fixture *f);

/* Between the two the directory is locked and in a transaction. */
void begin(struct fixture *f);
void end(struct fixture *f);

int add(struct fixture *f, const char *name, uint64_t ino);
int find(struct fixture *f, const char *name, struct dir_entry *ret);
int del(struct fixture *f, const char *name);

/* "entry-<n>" for n in [from, to); entry_ino(n) is what it names. */
void add_many(struct fixture *f, unsigned from, unsigned to);
void del_many(struct fixture *f, unsigned from, unsigned to);
void expect_many(struct fixture *f, unsigned from, unsigned to);

#endif
