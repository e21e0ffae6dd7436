/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_BTREE_H
#define FS_BTREE_H

/*
 * The B+tree of FORMAT.md section 7: extents of a file or hashes of a directory.  Records
 * are fixed-size byte strings that contain their key.  The owner of the tree locks it.
 */
#include "meta.h"
#include "txn.h"

/* A tree, described for the length of one operation. */
struct btree {
	struct fs *fs;
	enum meta_kind kind;  /* META_EXTENT: 16-byte records; META_INDEX: 8-byte records */
	uint64_t owner;	      /* inode */
	uint64_t root;	      /* block, 0: empty; the caller stores it back */
	int64_t delta_blocks; /* nodes taken minus nodes given back */
};

/* The most blocks one insert can take (reserve them in txn_start()): a split per level and a new root. */
#define BTREE_INSERT_BLOCKS (TREE_MAX_LEVEL + 2)

uint64_t btree_key(enum meta_kind kind, const void *record);

/* The record with the greatest key <= key (le) or the least >= key (ge).  0, -ENOENT or error. */
int btree_find_le(const struct btree *bt, uint64_t key, void *ret_record);
int btree_find_ge(const struct btree *bt, uint64_t key, void *ret_record);

/* 0; -EEXIST.  goal: where new nodes should be. */
int btree_insert(struct btree *bt, struct txn *t, uint64_t goal, const void *record);

/* Replace the record with this one's key.  0 or -ENOENT. */
int btree_update(struct btree *bt, struct txn *t, const void *record);

/* 0 or -ENOENT.  Frees nodes that become empty; root becomes 0 with the last record. */
int btree_delete(struct btree *bt, struct txn *t, uint64_t key);

/* Visit every node top down, for fsck and dump; visit returns 0 to go on.  data: the whole block. */
typedef int btree_visit(void *context, uint64_t block, unsigned level, const void *data);
int btree_walk(const struct btree *bt, btree_visit *visit, void *context);

#endif
