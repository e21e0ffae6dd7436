/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_CRASH_FS_H
#define TEST_CRASH_FS_H

/*
 * A filesystem on a recorded device, power cuts at every place of the record, and what must be
 * found then:
 *  - check_fs() finds nothing, and nothing after the replay;
 *  - a read-only mount has the same tree, and neither of the two has written;
 *  - the tree is as it was after some step at or behind the last that was made durable, and not
 *    behind the one that was under way;
 *  - what was synced by itself is as it was then or later, with all its names, and a directory
 *    with all its entries;
 *  - bytes overwritten in place since then are from any step in between, all others exact;
 *  - the filesystem goes on working, and is cut again while it recovers.
 *
 * What the tree was comes from the filesystem itself, walked after each step, or of another world that did the same.
 */
#include "crash.h"
#include "image.h"
#include "seen.h"
#include "steps.h"

#include <stdbool.h>

#define WORLD_MAX_STEPS	 512
#define WORLD_MAX_SYNCED 512
#define WORLD_MAX_HELD	 128

struct snapshot;

/*
 * An inode was synced after this step: it must not be found as it was before.  That is the same for fdatasync(), for what it
 * leaves out are times, which are not compared.
 */
struct synced {
	uint64_t ino;
	unsigned step;
};

struct world {
	struct bufio_engine *mem, *record, *base;
	struct fs *fs;
	struct fs_options options;
	const struct world *like;		 /* the trees are those of this one's steps */
	struct snapshot *steps[WORLD_MAX_STEPS]; /* [0]: where it began */
	unsigned nr_steps;			 /* behind [0] */
	unsigned durable[WORLD_MAX_STEPS];	 /* after a step: the last one that is durable */
	struct synced synced[WORLD_MAX_SYNCED];
	unsigned nr_synced;
	uint64_t held[WORLD_MAX_HELD]; /* inodes that are known, as to a kernel */
	size_t nr_held;
	bool forgets;  /* ... or none is: each leaves memory as soon as a call is over */
	bool in_place; /* some step overwrites */
	bool in_steps; /* ... or takes or gives its blocks in several transactions */
	bool whole_writes;
	unsigned nr_random;   /* images of a point with many writes; 0: 32 */
	unsigned recut_every; /* cut the recovery of every nth image; 0: never */
	/* Another program, cut everywhere, begins with these steps: what lies before is not cut again. */
	unsigned cut_from;
	uint64_t nr_images, nr_recuts; /* checked so far, each once */
	struct seen seen; /* while it is cut: images, with the mark they were checked at */
	uint64_t tail_seq;
	unsigned nr_checkpoints; /* while it was worked on */
	char name[200];		 /* for messages */
};

/* A formatted device, mounted, not recorded yet. */
void world_init(struct world *w, uint64_t size_bytes, uint64_t log_bytes);

/*
 * On a device whose writes behind end late.  With w->like, which did the same before, nobody looks at the tree between the
 * steps: that would wait for them, and have everything in the cache.
 */
void world_init_late(struct world *w, uint64_t size_bytes, uint64_t log_bytes);

/* What is there now is durable; from here on all is recorded. */
void world_begin(struct world *w);

/* A step was done; if durable, all up to it must survive. */
void world_step(struct world *w, bool durable);

/* A step was done that made what has this path durable by itself. */
void world_step_synced(struct world *w, const char *path);

/* A step of its own: fsync() or fdatasync() of a path, if it is there. */
void world_fsync(struct world *w, const char *path, bool datasync);

/* Unmount, then cut everywhere and check.  The world is gone afterwards. */
void world_finish(struct world *w);

/* Without that: it is unmounted, and was cut by the caller. */
void world_free(struct world *w);

/* Print how many states there were since the last report; tools/check adds these lines up. */
void world_report(const char *name);

#endif
