/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block heads: see meta.h.  Calls super, bufio and crc.
 *
 * What is kept per buffer has two halves.  `entered` is set by the verify hook, when nobody else can see
 * the block: which kind its head and crc make it, for the crc cannot be computed later without racing
 * with those who change the block.  `kind` is what the filesystem uses it as, set by the first
 * that reads or makes it; it alone decides whether a head is stamped, because the contents of
 * a file may look like anything.  The log keeps here what it knows of the buffer.
 */
#include "meta.h"
#include "crc.h"
#include "super.h"

#include <errno.h>
#include <string.h>

/* Kinds are stored + 1: 0 is not known. */
struct aux {
	_Atomic uint64_t joined; /* the transaction that did */
	_Atomic uint64_t data;	 /* the transaction its data belongs to */
	_Atomic uint8_t kind;
	_Atomic uint8_t entered;
	_Atomic uint8_t checked;
	_Atomic uint8_t is_new;
};
static_assert(sizeof(struct aux) <= META_AUX_BYTES, "meta.h");

static const uint32_t magics[META_NR_KINDS] = {
	[META_GDT] = MAGIC_GDT,
	[META_BLOCK_BITMAP] = MAGIC_BLOCK_BITMAP,
	[META_INODE_BITMAP] = MAGIC_INODE_BITMAP,
	[META_EXTENT] = MAGIC_EXTENT,
	[META_INDEX] = MAGIC_INDEX,
	[META_DIR] = MAGIC_DIR,
	[META_SYMLINK] = MAGIC_SYMLINK,
	[META_XATTR] = MAGIC_XATTR,
	[META_XATTR_VALUE] = MAGIC_XATTR_VALUE,
	[META_LOG] = MAGIC_LOG,
};

uint32_t meta_magic(enum meta_kind kind)
{
	return magics[kind];
}

static uint32_t block_crc(uint32_t seed, unsigned block_bytes, const void *data)
{
	const size_t before = offsetof(struct disk_head, crc), behind = before + sizeof(le32);
	const le32 zero = {{0}};
	uint32_t crc;

	crc = crc32c(seed, data, before);
	crc = crc32c(crc, &zero, sizeof(zero));
	return crc32c(crc, (const uint8_t *)data + behind, block_bytes - behind);
}

static bool crc_is_good(const struct fs *fs, const void *data)
{
	const struct disk_head *h = data;

	return le32_get(h->crc) == block_crc(fs->crc_seed, fs->geo.block_bytes, data);
}

int meta_verify_raw(const struct fs *fs, uint64_t block, enum meta_kind kind, uint64_t owner,
		    const void *data)
{
	const struct disk_head *h = data;

	if (!magics[kind])
		return 0;
	if (le32_get(h->magic) != magics[kind] || le64_get(h->block) != block ||
	    le64_get(h->owner) != owner || !crc_is_good(fs, data))
		return -EUCLEAN;
	return 0;
}

void meta_stamp_raw(uint32_t crc_seed, unsigned block_bytes, void *data)
{
	struct disk_head *h = data;

	h->crc = le32_make(block_crc(crc_seed, block_bytes, data));
}

static enum meta_kind kind_of_magic(uint32_t magic)
{
	for (unsigned kind = 0; kind < META_NR_KINDS; kind++) {
		if (magics[kind] && magics[kind] == magic)
			return (enum meta_kind)kind;
	}
	return META_DATA;
}

/* Only finds out: a block that lies fails the meta_read() that expected more of it. */
static int verify(void *context, struct bufio_buffer *b)
{
	const struct fs *fs = context;
	const struct disk_head *h = bufio_data(b);
	enum meta_kind kind = kind_of_magic(le32_get(h->magic));
	struct aux *aux = bufio_aux(b);

	if (magics[kind] && le64_get(h->block) == bufio_block(b) && crc_is_good(fs, h))
		atomic_store(&aux->entered, (uint8_t)(kind + 1));
	return 0;
}

static void trace(void *context, const struct bufio_trace *event)
{
	if (event->kind == BUFIO_TRACE_WAIT)
		fs_waits(context);
}

const struct bufio_callbacks meta_callbacks = {.verify = verify, .trace = trace};

/* Is the held block of this kind and owner?  Checks it if nobody has yet. */
static int expect(const struct fs *fs, struct bufio_buffer *b, const struct meta_expected *what)
{
	const struct disk_head *h = bufio_data(b);
	struct aux *aux = bufio_aux(b);
	uint8_t want = (uint8_t)(what->kind + 1), unknown = 0;

	if (magics[what->kind]) {
		unsigned known = atomic_load(&aux->kind);

		if ((known ? known : atomic_load(&aux->entered)) != want ||
		    le64_get(h->owner) != what->owner)
			return -EUCLEAN;
		if (!atomic_load(&aux->checked)) {
			if (what->check && what->check(fs, h) < 0)
				return -EUCLEAN;
			atomic_store(&aux->checked, what->check ? 1 : 0);
		}
	}
	if (!atomic_compare_exchange_strong(&aux->kind, &unknown, want) && unknown != want)
		return -EUCLEAN;
	return 0;
}

int meta_read(struct fs *fs, uint64_t block, const struct meta_expected *what,
	      struct bufio_buffer **ret_b)
{
	struct bufio_buffer *b;
	int r;

	*ret_b = NULL;
	r = bufio_read(fs->bufio, block, &b);
	if (r < 0)
		return r;
	r = expect(fs, b, what);
	if (r < 0) {
		super_report(fs,
			     &(struct fs_error){.ino = what->owner,
						.block = block,
						.error = r,
						.function = "meta_read",
						.line = __LINE__},
			     FS_CORRUPT);
		bufio_release(b);
		return r;
	}
	*ret_b = b;
	return 0;
}

void meta_read_ahead(struct fs *fs, uint64_t block, uint64_t first, uint64_t nr)
{
	uint64_t end = fs->geo.nr_blocks;
	struct bufio_buffer *b;
	int r;

	r = bufio_get(fs->bufio, block, &b);
	if (r == 0)
		bufio_release(b);
	/* what fails here fails again where it is needed */
	else if (r == -ENOENT && first < end)
		bufio_prefetch(fs->bufio, first, nr < end - first ? nr : end - first);
}

int meta_new(struct fs *fs, uint64_t block, enum meta_kind kind, uint64_t owner,
	     struct bufio_buffer **ret_b)
{
	struct bufio_buffer *b;
	struct disk_head *h;
	struct aux *aux;
	int r;

	*ret_b = NULL;
	r = bufio_new(fs->bufio, block, &b);
	if (r < 0)
		return r;
	/* A write of what stood there must not see half of the new. */
	bufio_pin(b);
	h = bufio_data(b);
	memset(h, 0, fs->geo.block_bytes);
	if (magics[kind])
		*h = (struct disk_head){.magic = le32_make(magics[kind]),
					.block = le64_make(block),
					.owner = le64_make(owner)};
	aux = bufio_aux(b);
	atomic_store(&aux->checked, magics[kind] ? 1 : 0);
	atomic_store(&aux->entered, 0);
	atomic_store(&aux->kind, (uint8_t)(kind + 1));
	atomic_store(&aux->is_new, 1);
	bufio_unpin(b, false);
	*ret_b = b;
	return 0;
}

void meta_set_data(struct bufio_buffer *b)
{
	struct aux *aux = bufio_aux(b);

	atomic_store(&aux->kind, (uint8_t)(META_DATA + 1));
	atomic_store(&aux->is_new, 0);
	atomic_store(&aux->entered, 0);
	atomic_store(&aux->checked, 0);
}

bool meta_is_new(const struct bufio_buffer *b)
{
	const struct aux *aux = bufio_aux(b);

	return atomic_load(&aux->is_new);
}

bool meta_is_data(const struct bufio_buffer *b)
{
	const struct aux *aux = bufio_aux(b);

	return atomic_load(&aux->kind) == META_DATA + 1;
}

uint64_t meta_joined(const struct bufio_buffer *b)
{
	const struct aux *aux = bufio_aux(b);

	return atomic_load(&aux->joined);
}

void meta_join(struct bufio_buffer *b, uint64_t seq)
{
	struct aux *aux = bufio_aux(b);

	atomic_store(&aux->is_new, 0);
	atomic_store(&aux->joined, seq);
}

bool meta_add_data(struct bufio_buffer *b, uint64_t seq)
{
	struct aux *aux = bufio_aux(b);

	return atomic_exchange(&aux->data, seq) != seq;
}

bool meta_stamp(const struct fs *fs, struct bufio_buffer *b, uint64_t seq)
{
	const struct aux *aux = bufio_aux(b);
	unsigned kind = atomic_load(&aux->kind);
	struct disk_head *h = bufio_data(b);

	if (!kind || !magics[kind - 1])
		return false;
	h->seq = le64_make(seq);
	meta_stamp_raw(fs->crc_seed, fs->geo.block_bytes, h);
	return true;
}
