/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_SNAPSHOT_H
#define TEST_SNAPSHOT_H

/* A whole tree as it is in one moment, by walking it: names, attributes but times, contents. */
#include <stddef.h>
#include <stdint.h>

#include "fs.h"

#define SNAPSHOT_SECTOR 512u

struct snapshot_file {
	char *path;
	const char *name; /* the last of path */
	uint64_t parent;
	char *line; /* type, mode, links, owner, flags, target, extended attributes */
	uint64_t ino, size, blocks;
	char *data; /* of a regular file */
};

struct snapshot {
	struct snapshot_file *files; /* directories before what is in them, names in order */
	size_t nr, max;
};

/* 0, or the error of what could not be read; *ret is to be freed in any case. */
int snapshot_take(struct fs *fs, struct snapshot **ret);

void snapshot_free(struct snapshot *s);

/* A name of that inode, or NULL. */
const struct snapshot_file *snapshot_find(const struct snapshot *s, uint64_t ino);

/* To stderr; of contents the first byte of each sector. */
void snapshot_print(const struct snapshot *s, const char *title);

#endif
