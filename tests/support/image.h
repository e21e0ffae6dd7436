/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_IMAGE_H
#define TEST_IMAGE_H

/*
 * A formatted filesystem in RAM, behind an engine that can fail; mounted or not.  For tests of the layers below
 * inodes, which look at struct fs.
 */
#include <bufio_engine.h>
#include <bufio_test_engine.h>
#include <check.h>
#include <stdint.h>

#include "core.h"
#include "fs.h"
#include "mkfs.h"

struct image {
	struct bufio_engine *engine; /* the fault engine around mem */
	struct bufio_engine *mem;
	struct geometry geo;
	struct fs_options options; /* commit_ms 0: nothing happens by itself */
	struct fs *fs;		   /* NULL: not mounted */
};

/* Make and format, not mounted.  0 bytes per block: the default. */
void image_init(struct image *i, uint64_t size_bytes, unsigned block_bytes);
void image_init_mounted(struct image *i, uint64_t size_bytes, unsigned block_bytes);
void image_finish(struct image *i); /* without a word to the filesystem, if it is mounted */

void image_mount(struct image *i);
void image_unmount(struct image *i);
void image_remount(struct image *i);

/* Commit, and put all in its place: what was freed may be used again. */
void image_settle(struct image *i);

/* Bytes of a block, which is not cached. */
void image_peek(struct image *i, uint64_t block, unsigned offset, void *data, size_t size);
void image_poke(struct image *i, uint64_t block, unsigned offset, const void *data, size_t size);

/* Change one byte of a block and stamp its crc again, so that only the structure is wrong. */
void image_break(struct image *i, uint64_t block, unsigned offset, uint8_t byte);

/* Change the superblock (both copies) and stamp it again. */
void image_set_super(struct image *i, const struct disk_super *d);
void image_get_super(struct image *i, struct disk_super *d);

/* It is not mounted: check_fs() finds nothing. */
void image_check(struct image *i);

/* I/Os of some kinds (BUFIO_FAULT_*) since the last image_count_from(); the engine has no other rule then. */
void image_count_from(struct image *i, unsigned ops);
unsigned image_counted(struct image *i);

/* Through fs.h on a mounted image, where it must succeed.  References are the caller's. */
uint64_t image_make(struct image *i, uint64_t dir, const char *name, uint32_t mode);
uint64_t image_lookup(struct image *i, uint64_t dir, const char *name);
void image_unlink(struct image *i, uint64_t dir, const char *name);
void image_write(struct image *i, uint64_t ino, uint64_t offset, const void *data, size_t size);
struct fs_attr image_attr(struct image *i, uint64_t ino);
struct fs_statfs image_statfs(struct image *i);

/* A small generator, the same everywhere. */
uint64_t image_random(uint64_t *state);
uint64_t image_seed(const char *test); /* prints it; SEED in the environment repeats a run */

int image_run(const char *name, TCase *const *cases);

#endif
