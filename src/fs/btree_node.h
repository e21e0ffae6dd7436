/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_BTREE_NODE_H
#define FS_BTREE_NODE_H

/* What stands in one node of a tree, and no more than fits in it.  For btree.c only. */
#include "btree.h"

#include <string.h>

static inline unsigned entry_bytes(enum meta_kind kind, unsigned level)
{
	if (level)
		return sizeof(struct disk_branch);
	return kind == META_EXTENT ? sizeof(struct disk_extent) : sizeof(le64);
}

static inline unsigned max_entries(const struct fs *fs, enum meta_kind kind, unsigned level)
{
	return (fs->geo.block_bytes - (unsigned)sizeof(struct disk_node)) /
	       entry_bytes(kind, level);
}

static inline unsigned node_level(const void *node)
{
	return le16_get(((const struct disk_node *)node)->level);
}

/* Never more than fit, whatever the node says. */
static inline unsigned node_count(const struct fs *fs, enum meta_kind kind, const void *node)
{
	unsigned count = le16_get(((const struct disk_node *)node)->count);
	unsigned max = max_entries(fs, kind, node_level(node));

	return count < max ? count : max;
}

static inline void node_set_count(void *node, unsigned count)
{
	((struct disk_node *)node)->count = le16_make((uint16_t)count);
}

static inline uint8_t *entry_at(enum meta_kind kind, const void *node, unsigned index)
{
	return (uint8_t *)(uintptr_t)node + sizeof(struct disk_node) +
	       (size_t)index * entry_bytes(kind, node_level(node));
}

static inline uint64_t key_at(enum meta_kind kind, const void *node, unsigned index)
{
	const uint8_t *entry = entry_at(kind, node, index);

	if (node_level(node))
		return le64_get(((const struct disk_branch *)entry)->key);
	return btree_key(kind, entry);
}

static inline uint64_t child_at(const void *node, unsigned index)
{
	const struct disk_branch *entry = (const void *)entry_at(META_EXTENT, node, index);

	return le64_get(entry->child);
}

/* For meta_read(): counts, order, and where children are.  0 or -EUCLEAN. */
int node_check(const struct fs *fs, const void *data);

/* There is room for one more; there is such an entry. */
void node_insert(const struct btree *bt, void *node, unsigned index, const void *entry);
void node_remove(const struct btree *bt, void *node, unsigned index);

/* Split a full node.  What grows at its end fills its nodes: only the new entry goes to the right. */
void node_split(const struct btree *bt, void *left, void *right, unsigned index, const void *entry);

#endif
