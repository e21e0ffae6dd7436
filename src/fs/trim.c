/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FITRIM: telling the device which blocks are free.  What is free but held (held.h) is left out, since after a crash
 * it may be in use again.  A run is discarded under its group's lock, so that nobody takes it meanwhile, in
 * steps, so that nobody waits for long.  Calls balloc, bitmap, held, bufio.
 */
#include "balloc.h"
#include "bitmap.h"
#include "held.h"

#include <errno.h>

#define STEP_BYTES (UINT64_C(16) << 20)

struct trim {
	struct fs *fs;
	uint64_t min, done; /* blocks */
	uint32_t step;	    /* blocks */
	bool within;	    /* the last step ended inside a run */
};

/* The next run from *bit on, of which min is only asked where it begins. */
static int trim_run(struct trim *t, uint32_t group, const uint8_t *map, uint32_t *bit, uint32_t to)
{
	uint32_t from = bitmap_find_zero(map, *bit, to), end = bitmap_find_one(map, from, to);
	bool goes_on = t->within && from == *bit;
	int r;

	t->within = false;
	*bit = end;
	if (from == to || (!goes_on && end - from < t->min))
		return 0;
	if (end - from > t->step) {
		t->within = true;
		*bit = end = from + t->step;
	}
	r = bufio_issue_discard(t->fs->bufio, geo_group_start(&t->fs->geo, group) + from,
				end - from);
	if (r == 0)
		t->done += end - from;
	/* someone still looks at a block that is none any more */
	return r == -EBUSY ? 0 : r;
}

static int trim_step(struct trim *t, uint32_t group, uint32_t *bit, uint32_t to)
{
	struct group *gr = &t->fs->groups[group];
	struct bufio_buffer *b;
	int r;

	pthread_mutex_lock(&gr->lock);
	if (gr->free_blocks < t->min) {
		*bit = to;
		r = 0;
	} else {
		r = balloc_bitmap_locked(t->fs, group, &b);
		if (r == 0) {
			const uint8_t *map = bitmap_bits(bufio_data(b));

			r = trim_run(t, group, held_map_locked(t->fs, group, map), bit, to);
			bufio_release(b);
		}
	}
	pthread_mutex_unlock(&gr->lock);
	return r;
}

static int trim_range(struct trim *t, const struct fs_trim *what, uint64_t from, uint64_t to)
{
	const struct geometry *g = &t->fs->geo;
	int r = 0;

	while (from < to && r == 0) {
		uint32_t group = geo_group_of_block(g, from);
		uint64_t start = geo_group_start(g, group);
		uint64_t end = start + geo_group_blocks(g, group);
		uint32_t bit = (uint32_t)(from - start);

		r = trim_step(t, group, &bit, (uint32_t)((to < end ? to : end) - start));
		from = start + bit;
		if (r == 0 && what->interrupted && what->interrupted(what->context))
			r = -EINTR;
	}
	return r;
}

int fs_trim(struct fs *fs, const struct fs_trim *what, uint64_t *ret_bytes)
{
	const struct geometry *g = &fs->geo;
	struct trim t = {.fs = fs, .step = (uint32_t)(STEP_BYTES >> g->block_shift)};
	uint64_t from = (what->start_bytes + g->block_bytes - 1) >> g->block_shift;
	uint64_t nr = what->size_bytes >> g->block_shift;
	int r;

	if (atomic_load(&fs->shut))
		return -EIO;
	if (fs->read_only || log_error(fs->log))
		return -EROFS;
	t.min = (what->min_bytes + g->block_bytes - 1) >> g->block_shift;
	if (what->start_bytes >= g->nr_blocks << g->block_shift || !nr ||
	    what->min_bytes > (uint64_t)g->blocks_per_group << g->block_shift)
		return -EINVAL;
	t.min = t.min ? t.min : 1;
	held_release(fs);
	r = trim_range(&t, what, from, nr < g->nr_blocks - from ? from + nr : g->nr_blocks);
	*ret_bytes = t.done << g->block_shift;
	return r;
}
