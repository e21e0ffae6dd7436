/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

/*
 * What a filesystem has to do, done in plain memory: names, links, contents.  A random program runs on it and on
 * a mounted filesystem at once; every result must be the same, and in the end everything there is.
 */
#include <stdbool.h>
#include <stdint.h>

#include "fs.h"

#define MODEL_NODES 48
#define MODEL_NAMES 10
#define MODEL_BYTES 9000
#define MODEL_ROOT  1u

#define MODEL_XATTRS	  4
#define MODEL_XATTR_BYTES 5000

struct model_xattr {
	bool exists;
	unsigned size;
	uint8_t fill; /* all of it */
};

struct model_node {
	uint32_t mode;		     /* 0: there is no such node */
	unsigned nlink;		     /* 0: without a name, but referenced */
	bool linkable;		     /* it never had a name */
	unsigned nr_dirs;	     /* in it */
	unsigned parent;	     /* of a directory */
	unsigned child[MODEL_NAMES]; /* by name; 0: none */
	uint64_t ino;		     /* in the filesystem; the model holds one reference */
	uint64_t size;
	struct model_xattr xattr[MODEL_XATTRS];
	uint8_t data[MODEL_BYTES]; /* of a file or symlink; zero from size on */
};

struct model {
	struct fs *fs; /* NULL while it is not mounted */
	struct model_node node[MODEL_NODES + 1];
	unsigned nr_changes;
};

/* Of 1 to 255 bytes. */
const char *model_name(unsigned name);

/* Empty, as after mkfs. */
void model_init(struct model *m, struct fs *fs);

/* One random operation on both. */
void model_step(struct model *m, uint64_t *seed);

/* Everything the model has is in the filesystem, and nothing else. */
void model_compare(struct model *m);

/* Give all references back before an unmount, which frees what has no name; take them again after a mount. */
void model_forget(struct model *m);
void model_mounted(struct model *m, struct fs *fs);

#endif
