/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 0: find a superblock that can be used, open the cache with its block size; and at the very end
 * write both copies.  Calls the engine directly until the block size is known.
 */
#include "check_priv.h"
#include "super.h"

#include "crc.h"

#include "inode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_BYTES 4096u
#define CACHE_BYTES    ((size_t)64 << 20)

struct found {
	struct disk_super super;
	struct geometry geo;
	bool good;
	bool too_new; /* it is one, of a version not known */
};

static int read_bytes(struct bufio_engine *e, uint64_t offset, void *data)
{
	void *memory = NULL;
	struct iovec iov;
	struct bufio_io io = {
		.op = BUFIO_OP_READ, .offset_bytes = offset, .iov = &iov, .nr_iov = 1};
	int r;

	r = -posix_memalign(&memory, TRANSFER_BYTES, TRANSFER_BYTES);
	if (r < 0)
		return r;
	iov = (struct iovec){memory, SUPER_BYTES < e->sector_bytes ? e->sector_bytes : SUPER_BYTES};
	io.size_bytes = iov.iov_len;
	r = e->ops->transfer(e, &io);
	if (r == 0)
		memcpy(data, memory, SUPER_BYTES);
	free(memory);
	return r;
}

static void judge(struct found *f, uint64_t owner, uint64_t offset)
{
	const struct disk_super *s = &f->super;
	uint64_t home;
	int r;

	if (le32_get(s->head.magic) != MAGIC_SUPER || le64_get(s->head.owner) != owner ||
	    memcmp(s->signature, SUPER_SIGNATURE, sizeof(s->signature)) != 0 ||
	    le32_get(s->head.crc) != super_crc(s))
		return;
	r = super_decode(s, &f->geo);
	f->too_new |= r == -EPROTONOSUPPORT;
	if (r < 0)
		return;
	home = owner ? geo_super_copy(&f->geo) : 0;
	f->good = home << f->geo.block_shift == offset && le64_get(s->head.block) == home;
}

/* The device's end and what lies between the sectors of it hold none; a bad sector is no superblock. */
static void look_at(struct check *c, uint64_t offset, uint64_t owner, struct found *f)
{
	struct bufio_engine *e = c->engine;

	if (f->good || offset % e->sector_bytes || e->size_bytes < TRANSFER_BYTES ||
	    offset > e->size_bytes - SUPER_BYTES)
		return;
	if (e->sector_bytes <= TRANSFER_BYTES && read_bytes(e, offset, &f->super) == 0)
		judge(f, owner, offset);
}

static void look_for_copy(struct check *c, const struct found *first, struct found *copy)
{
	uint64_t bytes = c->engine->size_bytes;

	if (first->good) {
		look_at(c, geo_super_copy(&first->geo) << first->geo.block_shift, 1, copy);
		return;
	}
	for (uint64_t bs = FORMAT_MIN_BLOCK_BYTES; bs <= FORMAT_MAX_BLOCK_BYTES; bs *= 2) {
		look_at(c, (bs - DISK_HEAD_BYTES) * 8 * bs, 1, copy);
		if (bytes >= bs)
			look_at(c, (bytes / bs - 1) * bs, 1, copy);
	}
}

static const struct found *choose(const struct check *c, const struct found *first,
				  const struct found *copy)
{
	if (c->o.super == CHECK_SUPER_FIRST)
		return first;
	if (c->o.super == CHECK_SUPER_COPY)
		return copy;
	if (!first->good || !copy->good)
		return first->good ? first : copy;
	return le64_get(copy->super.head.seq) > le64_get(first->super.head.seq) ? copy : first;
}

static void forget_times(struct disk_super *s)
{
	s->head = (struct disk_head){.seq = s->head.seq};
	s->made_time = s->mount_time = s->write_time = s->check_time = le64_make(0);
}

/*
 * Does the copy describe another filesystem, or another state of this one?  An older state it may: block 0 is
 * written first, and a crash keeps the copy from being written until the next update.
 */
static bool supers_differ(const struct disk_super *first, const struct disk_super *copy)
{
	struct disk_super x = *first, y = *copy;

	if (le64_get(copy->head.seq) < le64_get(first->head.seq))
		return memcmp(x.uuid, y.uuid, sizeof(x.uuid)) != 0;

	forget_times(&x);
	forget_times(&y);
	return memcmp(&x, &y, sizeof(x)) != 0;
}

static void compare(struct check *c, const struct found *used, const struct found *first,
		    const struct found *copy)
{
	uint64_t home = geo_super_copy(&used->geo);

	if (!first->good)
		problem(c, FIX_SAFE, "super-bad", (struct at){0},
			"the superblock in block 0 is bad");
	if (!copy->good)
		problem(c, FIX_SAFE, "super-copy-bad", (struct at){.block = home},
			"the copy of the superblock in block %" PRIu64 " is bad", home);
	if (first->good && copy->good && supers_differ(&first->super, &copy->super))
		problem(c, FIX_SAFE, "super-copy-differs", (struct at){.block = home},
			"the superblock and its copy in block %" PRIu64 " differ", home);
}

static void check_fields(struct check *c)
{
	struct disk_super *s = &c->super;
	uint32_t state = le32_get(s->state);

	if (!(state & SUPER_CLEAN) && !c->overlay)
		problem(c, FIX_SAFE, "unclean", (struct at){0},
			"the filesystem was not unmounted cleanly");
	if (state & SUPER_ERRORS)
		problem(c, FIX_SAFE, "errors-recorded", (struct at){0},
			"the filesystem has recorded %u errors", le32_get(s->error_count));
	if (state & ~(SUPER_CLEAN | SUPER_ERRORS | SUPER_REPLAYED))
		problem(c, FIX_SAFE, "super-state", (struct at){0},
			"the state in the superblock is 0x%x", state);
	if (s->label[LABEL_MAX] || s->mounted_at[sizeof(s->mounted_at) - 1]) {
		problem(c, FIX_SAFE, "super-text", (struct at){0},
			"the label or mount point in the superblock has no end");
		s->label[LABEL_MAX] = 0;
		s->mounted_at[sizeof(s->mounted_at) - 1] = 0;
	}
}

static int open_cache(struct check *c)
{
	struct bufio_options o;

	bufio_options_init(&o);
	o.block_bytes = c->fs.geo.block_bytes;
	o.cache_bytes = c->o.cache_bytes ? c->o.cache_bytes : CACHE_BYTES;
	if (o.cache_bytes < (size_t)64 * o.block_bytes)
		o.cache_bytes = (size_t)64 * o.block_bytes;
	o.limit_bytes = o.cache_bytes + o.cache_bytes / 8;
	/* a block that is being mended is not written, or a check that is killed would leave it half mended */
	o.stable_writes = true;
	c->ahead_max = (uint32_t)(o.cache_bytes / o.block_bytes / 8);
	return bufio_create(c->engine, &o, &c->fs.bufio);
}

static int store_super(struct check *c, uint64_t block, uint64_t owner)
{
	struct disk_super *s = &c->super;
	struct bufio_buffer *b;
	int r;

	s->head = (struct disk_head){.magic = le32_make(MAGIC_SUPER),
				     .block = le64_make(block),
				     .owner = le64_make(owner),
				     .seq = le64_make(c->super_seq)};
	s->head.crc = le32_make(super_crc(s));
	r = block_new(c, block, META_DATA, 0, &b);
	if (r < 0)
		return r;
	memcpy(bufio_data(b), s, sizeof(*s));
	bufio_mark_dirty(b);
	bufio_release(b);
	return bufio_write_dirty_buffers(c->fs.bufio);
}

static int store_supers(struct check *c)
{
	int r;

	c->super.write_time = time_encode(fs_now());
	c->super_seq++;
	r = store_super(c, 0, 0);
	if (r == 0)
		r = store_super(c, geo_super_copy(&c->fs.geo), 1);
	return r;
}

/* A check that is interrupted must leave an image that is not clean. */
static int mark_unclean(struct check *c)
{
	if (!check_writes(c) || !c->was_clean)
		return 0;
	c->super.state = le32_make(le32_get(c->super.state) & ~SUPER_CLEAN);
	return store_supers(c);
}

/* One run, in one group, behind its fixed area. */
static bool log_is_good(const struct geometry *g)
{
	uint64_t start = g->log_start, end = start + g->log_blocks;
	uint32_t group;

	if (start >= g->nr_blocks || end > g->nr_blocks)
		return false;
	group = geo_group_of_block(g, start);
	return geo_group_of_block(g, end - 1) == group &&
	       start >= geo_group_start(g, group) + geo_fixed_blocks(g, group);
}

static int take(struct check *c, const struct found *f)
{
	uint64_t unknown_ro = le64_get(f->super.ro_compat) & ~RO_COMPAT_KNOWN;

	if (le64_get(f->super.incompat) & ~INCOMPAT_KNOWN || (unknown_ro && check_writes(c)))
		return -EPROTONOSUPPORT;
	if (f->geo.nr_blocks > c->engine->size_bytes >> f->geo.block_shift)
		return -EFBIG;
	if (!log_is_good(&f->geo))
		return -EUCLEAN;
	c->super = f->super;
	c->fs.geo = f->geo;
	c->fs.hash_seed = le64_get(f->super.hash_seed);
	c->fs.crc_seed = crc32c(0, f->super.uuid, sizeof(f->super.uuid));
	c->was_clean = le32_get(f->super.state) & SUPER_CLEAN;
	c->crashed = c->overlay || le32_get(f->super.state) & SUPER_REPLAYED;
	return 0;
}

int check_super_open(struct check *c)
{
	struct found first = {.good = false}, copy = {.good = false};
	const struct found *used;
	int r;

	look_at(c, 0, 0, &first);
	look_for_copy(c, &first, &copy);
	if (first.too_new || copy.too_new)
		return -EPROTONOSUPPORT;
	used = choose(c, &first, &copy);
	if (!used->good)
		return -EMEDIUMTYPE;
	r = take(c, used);
	if (r < 0)
		return r;
	c->super_seq = first.good ? le64_get(first.super.head.seq) : 0;
	if (copy.good && le64_get(copy.super.head.seq) > c->super_seq)
		c->super_seq = le64_get(copy.super.head.seq);
	r = open_cache(c);
	if (r < 0)
		return r;
	compare(c, used, &first, &copy);
	check_fields(c);
	return mark_unclean(c);
}

int check_super_close(struct check *c)
{
	struct disk_super *s = &c->super;
	uint32_t replayed = le32_get(s->state) & SUPER_REPLAYED;
	int r;

	if (!check_writes(c))
		return 0;
	r = bufio_write_dirty_buffers(c->fs.bufio);
	if (r < 0)
		return r;
	if (check_all_mended(c)) {
		s->state = le32_make(SUPER_CLEAN | replayed);
		s->error_count = s->mount_count = le32_make(0);
		s->first_error = s->last_error = (struct disk_error){0};
		s->check_time = time_encode(fs_now());
	} else {
		s->state = le32_make(SUPER_ERRORS | replayed);
	}
	return store_supers(c);
}
