/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_DUMP_IMAGE_H
#define TOOLS_DUMP_IMAGE_H

/*
 * dump.bufs: an image opened for looking, and what is made of it as JSON.  Shares the distrustful
 * readers of check_fs(), because what is looked at is often what is damaged.
 */
#include "check_priv.h"

#include <json_object.h>

struct image {
	struct bufio_engine *engine;
	struct check c; /* fs only */
	struct disk_super super;
	bool copy_bad;
};

int image_open(const char *path, struct image *im);
void image_close(struct image *im);

/* Bytes of a name or text as a JSON string: what is not printable UTF-8 is written \xNN, \ is \\. */
struct json_object *json_name(const void *bytes, size_t len);
void json_put_u64(struct json_object *o, const char *key, uint64_t value);
void json_put_text(struct json_object *o, const char *key, const char *value);

/* Each makes an object; 0 or a negative errno. */
int show_super(struct image *im, struct json_object **ret);
int show_groups(struct image *im, struct json_object **ret);
int show_group(struct image *im, uint64_t group, struct json_object **ret);
int show_inode(struct image *im, uint64_t ino, struct json_object **ret);
int show_path(struct image *im, const char *path, struct json_object **ret);
int show_dir(struct image *im, uint64_t ino, struct json_object **ret);
int show_extents(struct image *im, uint64_t ino, struct json_object **ret);
int show_xattrs(struct image *im, uint64_t ino, struct json_object **ret);
int show_block(struct image *im, uint64_t block, struct json_object **ret);
int show_log(struct image *im, struct json_object **ret);

void print_text(struct json_object *o);

#endif
