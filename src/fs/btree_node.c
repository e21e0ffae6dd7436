/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of one node: checked, and changed in place.  Calls balloc's arithmetic only. */
#include "btree_node.h"

#include <errno.h>

uint64_t btree_key(enum meta_kind kind, const void *record)
{
	return kind == META_EXTENT ? le48_get(((const struct disk_extent *)record)->logical)
				   : le64_get(*(const le64 *)record);
}

/* Entries in order, children where blocks can be. */
static int check_entries(const struct fs *fs, enum meta_kind kind, const void *node)
{
	unsigned level = node_level(node), count = node_count(fs, kind, node);

	for (unsigned i = 0; i < count; i++) {
		if (level && !geo_is_data(&fs->geo, child_at(node, i), 1))
			return -EUCLEAN;
		/* the first key of an inner node counts as 0 */
		if (i && key_at(kind, node, i) <= (level && i == 1 ? 0 : key_at(kind, node, i - 1)))
			return -EUCLEAN;
	}
	return 0;
}

int node_check(const struct fs *fs, const void *data)
{
	const struct disk_node *node = data;
	enum meta_kind kind = le32_get(node->head.magic) == MAGIC_EXTENT ? META_EXTENT : META_INDEX;
	unsigned level = node_level(data), count = le16_get(node->count);

	if (level > TREE_MAX_LEVEL || count > max_entries(fs, kind, level) || (level && !count))
		return -EUCLEAN;
	return check_entries(fs, kind, data);
}

void node_insert(const struct btree *bt, void *node, unsigned index, const void *entry)
{
	unsigned bytes = entry_bytes(bt->kind, node_level(node));
	unsigned count = node_count(bt->fs, bt->kind, node);
	uint8_t *at = entry_at(bt->kind, node, index);

	memmove(at + bytes, at, (size_t)(count - index) * bytes);
	memcpy(at, entry, bytes);
	node_set_count(node, count + 1);
}

void node_remove(const struct btree *bt, void *node, unsigned index)
{
	unsigned bytes = entry_bytes(bt->kind, node_level(node));
	unsigned count = node_count(bt->fs, bt->kind, node);
	uint8_t *at = entry_at(bt->kind, node, index);

	memmove(at, at + bytes, (size_t)(count - index - 1) * bytes);
	memset(entry_at(bt->kind, node, count - 1), 0, bytes);
	node_set_count(node, count - 1);
}

void node_split(const struct btree *bt, void *left, void *right, unsigned index, const void *entry)
{
	unsigned bytes = entry_bytes(bt->kind, node_level(left));
	unsigned count = node_count(bt->fs, bt->kind, left);
	unsigned keep = index == count ? count : count / 2;

	((struct disk_node *)right)->level = ((struct disk_node *)left)->level;
	memcpy(entry_at(bt->kind, right, 0), entry_at(bt->kind, left, keep),
	       (size_t)(count - keep) * bytes);
	memset(entry_at(bt->kind, left, keep), 0, (size_t)(count - keep) * bytes);
	node_set_count(right, count - keep);
	node_set_count(left, keep);
	if (index <= keep && keep < count)
		node_insert(bt, left, index, entry);
	else
		node_insert(bt, right, index - keep, entry);
}
