/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The superblock on the disk.  It is read and written past the cache, because the block size is not
 * known before and its order with flushes matters.  Calls the engine.
 */
#include "super.h"
#include "crc.h"
#include "disk_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_ALIGN 65536u

uint32_t super_crc(const struct disk_super *d)
{
	const size_t behind = offsetof(struct disk_super, head.block);
	const le32 zero = {{0}};
	uint32_t crc;

	crc = crc32c(0, &d->head.magic, sizeof(d->head.magic));
	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, (const uint8_t *)d + behind, sizeof(*d) - behind);
}

/* Sizes that make shifts and divisions safe. */
static int decode_units(const struct disk_super *d, struct geometry *g)
{
	uint32_t bb = le32_get(d->block_bytes);

	if (bb < FORMAT_MIN_BLOCK_BYTES || bb > FORMAT_MAX_BLOCK_BYTES || bb & (bb - 1))
		return -EUCLEAN;
	g->block_bytes = bb;
	g->block_shift = (unsigned)__builtin_ctz(bb);
	g->inodes_per_block = bb / INODE_BYTES;
	g->groups_per_gdt_block = (bb - DISK_HEAD_BYTES) / (unsigned)sizeof(struct disk_group);
	if (le32_get(d->inode_bytes) != INODE_BYTES)
		return -EUCLEAN;
	g->nr_blocks = le64_get(d->nr_blocks);
	if (g->nr_blocks == 0 || g->nr_blocks > FORMAT_MAX_BLOCKS)
		return -EUCLEAN;
	return 0;
}

static int decode_groups(const struct disk_super *d, struct geometry *g)
{
	uint64_t nr;

	g->blocks_per_group = le32_get(d->blocks_per_group);
	if (g->blocks_per_group != (g->block_bytes - DISK_HEAD_BYTES) * 8)
		return -EUCLEAN;
	g->inodes_per_group = le32_get(d->inodes_per_group);
	if (g->inodes_per_group == 0 || g->inodes_per_group > g->blocks_per_group ||
	    g->inodes_per_group % g->inodes_per_block)
		return -EUCLEAN;
	g->itable_blocks = g->inodes_per_group / g->inodes_per_block;
	g->nr_groups = le32_get(d->nr_groups);
	nr = (g->nr_blocks - 1) / g->blocks_per_group + 1;
	if (g->nr_groups != nr || geo_nr_inodes(g) >= UINT64_C(1) << 48)
		return -EUCLEAN;
	g->gdt_blocks = le32_get(d->gdt_blocks);
	nr = (nr - 1) / g->groups_per_gdt_block + 1;
	if (g->gdt_blocks < nr || g->gdt_blocks > g->blocks_per_group)
		return -EUCLEAN;
	return 0;
}

/* Every group has room for its fixed area; group 0, 1 and the last are the special ones. */
static int check_room(const struct geometry *g)
{
	const uint32_t groups[] = {0, g->nr_groups > 1 ? 1 : 0, g->nr_groups - 1};
	uint32_t more;

	for (unsigned i = 0; i < 3; i++) {
		more = groups[i] == g->nr_groups - 1 ? FORMAT_MIN_LAST_GROUP_FREE : 0;
		more += g->nr_groups == 1 ? 1 : 0;
		if (geo_fixed_blocks(g, groups[i]) + more > geo_group_blocks(g, groups[i]))
			return -EUCLEAN;
	}
	return 0;
}

static int decode_log(const struct disk_super *d, struct geometry *g)
{
	g->log_start = le64_get(d->log_start);
	g->log_blocks = le32_get(d->log_blocks);
	if (g->log_blocks < FORMAT_MIN_LOG_BLOCKS ||
	    (uint64_t)g->log_blocks << g->block_shift > FORMAT_MAX_LOG_BYTES)
		return -EUCLEAN;
	return geo_is_data(g, g->log_start, g->log_blocks) ? 0 : -EUCLEAN;
}

int super_decode(const struct disk_super *d, struct geometry *ret_geo)
{
	struct geometry g = {0};
	int r;

	if (le32_get(d->head.magic) != MAGIC_SUPER ||
	    memcmp(d->signature, SUPER_SIGNATURE, sizeof(d->signature)) != 0)
		return -EMEDIUMTYPE;
	if (le32_get(d->version) != SUPER_VERSION)
		return -EPROTONOSUPPORT;
	r = decode_units(d, &g);
	if (r == 0)
		r = decode_groups(d, &g);
	if (r == 0)
		r = check_room(&g);
	if (r == 0)
		r = decode_log(d, &g);
	if (r == 0)
		*ret_geo = g;
	return r;
}

int super_transfer(struct bufio_engine *e, enum bufio_op op, uint64_t offset_bytes, void *data,
		   size_t size_bytes)
{
	struct bufio_io io = {
		.op = op, .offset_bytes = offset_bytes, .nr_iov = 1, .size_bytes = size_bytes};
	struct iovec iov = {.iov_len = size_bytes};
	int r;

	r = -posix_memalign(&iov.iov_base, TRANSFER_ALIGN, size_bytes);
	if (r < 0)
		return r;
	io.iov = &iov;
	if (op == BUFIO_OP_WRITE)
		memcpy(iov.iov_base, data, size_bytes);
	r = e->ops->transfer(e, &io);
	if (r == 0 && op == BUFIO_OP_READ)
		memcpy(data, iov.iov_base, size_bytes);
	free(iov.iov_base);
	return r;
}

/* Read the 1024 bytes at offset, of sectors that may be larger. */
static int read_bytes(struct bufio_engine *e, uint64_t offset, struct disk_super *ret)
{
	uint64_t start = offset & ~(uint64_t)(e->sector_bytes - 1);
	uint8_t window[2 * TRANSFER_ALIGN];
	size_t size = SUPER_BYTES;
	int r;

	if (e->sector_bytes > TRANSFER_ALIGN || e->size_bytes < SUPER_BYTES ||
	    offset > e->size_bytes - SUPER_BYTES)
		return -EMEDIUMTYPE;
	if (size < e->sector_bytes)
		size = e->sector_bytes;
	r = super_transfer(e, BUFIO_OP_READ, start, window, size);
	if (r == 0)
		memcpy(ret, window + (offset - start), sizeof(*ret));
	return r;
}

/*
 * Is it a superblock that says it stands at offset?  owner 0: the first, 1: the copy.  A damaged one is -EUCLEAN, what
 * is none -EMEDIUMTYPE.
 */
static int check_place(const struct disk_super *d, uint64_t owner, uint64_t offset)
{
	struct geometry g;
	uint64_t block;
	int r;

	if (le32_get(d->head.magic) != MAGIC_SUPER &&
	    memcmp(d->signature, SUPER_SIGNATURE, sizeof(d->signature)) != 0)
		return -EMEDIUMTYPE;
	if (le32_get(d->head.crc) != super_crc(d))
		return -EUCLEAN;
	r = super_decode(d, &g);
	if (r < 0)
		return r;
	block = owner ? geo_super_copy(&g) : 0;
	if (le64_get(d->head.owner) != owner || le64_get(d->head.block) != block ||
	    block << g.block_shift != offset)
		return -EUCLEAN;
	return 0;
}

static int read_at(struct bufio_engine *e, uint64_t owner, uint64_t offset, struct disk_super *ret)
{
	struct disk_super d;
	int r;

	r = read_bytes(e, offset, &d);
	if (r == 0)
		r = check_place(&d, owner, offset);
	if (r == 0)
		*ret = d;
	return r;
}

/* Block 0 says nothing: look where copies can be. */
static int search_copy(struct bufio_engine *e, struct disk_super *ret)
{
	uint64_t bs;

	for (bs = FORMAT_MIN_BLOCK_BYTES; bs <= FORMAT_MAX_BLOCK_BYTES; bs *= 2) {
		if (read_at(e, 1, (bs - DISK_HEAD_BYTES) * 8 * bs, ret) == 0)
			return 0;
		if (e->size_bytes >= bs && read_at(e, 1, (e->size_bytes / bs - 1) * bs, ret) == 0)
			return 0;
	}
	return -EMEDIUMTYPE;
}

int super_read(struct bufio_engine *e, struct disk_super *ret_super, bool *ret_copy_bad)
{
	struct disk_super first, copy;
	struct geometry g;
	int r, r_copy;

	r = read_at(e, 0, 0, &first);
	if (r < 0) {
		if (r == -EPROTONOSUPPORT || search_copy(e, &copy) < 0)
			return r;
		*ret_super = copy;
		*ret_copy_bad = true;
		return 0;
	}
	r = super_decode(&first, &g);
	if (r < 0)
		return r;
	r_copy = read_at(e, 1, geo_super_copy(&g) << g.block_shift, &copy);
	if (r_copy == 0 && le64_get(copy.head.seq) > le64_get(first.head.seq))
		first = copy;
	*ret_super = first;
	*ret_copy_bad = r_copy < 0;
	return 0;
}

static int write_one(struct bufio_engine *e, const struct geometry *g, uint64_t owner,
		     struct disk_super *d)
{
	uint64_t block = owner ? geo_super_copy(g) : 0;
	uint8_t *data;
	int r;

	d->head = (struct disk_head){.magic = le32_make(MAGIC_SUPER),
				     .block = le64_make(block),
				     .owner = le64_make(owner),
				     .seq = d->head.seq};
	d->head.crc = le32_make(super_crc(d));
	data = calloc(1, g->block_bytes);
	if (!data)
		return -ENOMEM;
	memcpy(data, d, sizeof(*d));
	r = super_transfer(e, BUFIO_OP_WRITE, block << g->block_shift, data, g->block_bytes);
	free(data);
	return r < 0 ? r : e->ops->flush(e);
}

/* The seq stays raised if this fails: nobody knows which of the copies were written. */
int super_store(struct bufio_engine *e, const struct geometry *g, struct disk_super *d)
{
	int r;

	d->head.seq = le64_make(le64_get(d->head.seq) + 1);
	d->write_time = time_encode(fs_now());
	r = write_one(e, g, 0, d);
	return r < 0 ? r : write_one(e, g, 1, d);
}

int super_write(struct fs *fs)
{
	int r;

	pthread_mutex_lock(&fs->super_lock);
	r = super_store(bufio_engine_of(fs->bufio), &fs->geo, &fs->super);
	pthread_mutex_unlock(&fs->super_lock);
	return r;
}

static struct disk_error encode_error(const struct fs_error *e)
{
	struct disk_error d = {
		.time = time_encode(fs_now()),
		.ino = le64_make(e->ino),
		.block = le64_make(e->block),
		.error = le32_make((uint32_t)-e->error),
		.line = le32_make(e->line),
	};

	memcpy(d.function, e->function, strnlen(e->function, sizeof(d.function) - 1));
	return d;
}

static void record_error(struct fs *fs, const struct fs_error *e)
{
	struct disk_super *d = &fs->super;
	uint32_t count;

	pthread_mutex_lock(&fs->super_lock);
	count = le32_get(d->error_count);
	d->last_error = encode_error(e);
	if (!count)
		d->first_error = d->last_error;
	d->error_count = le32_make(count == UINT32_MAX ? count : count + 1);
	d->state = le32_make(le32_get(d->state) | SUPER_ERRORS);
	/* The device may be gone: then the error is told to those who wait, and not kept. */
	super_store(bufio_engine_of(fs->bufio), &fs->geo, d);
	pthread_mutex_unlock(&fs->super_lock);
}

void super_report(struct fs *fs, const struct fs_error *e, enum fs_severity severity)
{
	enum fs_errors policy = fs->options.errors;
	int none = 0;

	if (fs->read_only || atomic_load(&fs->stopped))
		return;
	if (severity == FS_FATAL || policy == FS_ERRORS_STOP)
		atomic_compare_exchange_strong(&fs->stopped, &none, e->error);
	record_error(fs, e);
	if (policy == FS_ERRORS_PANIC && fs->options.panic)
		fs->options.panic();
}

int super_open(struct bufio_engine *e, struct fs *fs)
{
	bool copy_bad;
	int r;

	r = super_read(e, &fs->super, &copy_bad);
	if (r < 0)
		return r;
	if (le64_get(fs->super.incompat) & ~INCOMPAT_KNOWN)
		return -EPROTONOSUPPORT;
	r = super_decode(&fs->super, &fs->geo);
	if (r < 0)
		return r;
	/* From here on no number of the image is larger than the device. */
	if (fs->geo.nr_blocks > e->size_bytes >> fs->geo.block_shift)
		return -EFBIG;
	fs->crc_seed = crc32c(0, fs->super.uuid, sizeof(fs->super.uuid));
	fs->hash_seed = le64_get(fs->super.hash_seed);
	return 0;
}
