/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entries of one area of a directory, FORMAT.md section 8: a chain of records that covers the
 * area exactly.  Each may have a gap behind its name; a free one is all gap.
 *
 * dir_check_entries() runs once, when an area comes from the disk; all else here trusts the
 * chain.  Knows nothing of other blocks and of the index.  Calls bmap and meta.
 */
#include "dir_parts.h"

#include <errno.h>
#include <string.h>

static bool name_is_sane(const uint8_t *name, unsigned len)
{
	if (len == 0 || memchr(name, 0, len) || memchr(name, '/', len))
		return false;
	return name[0] != '.' || (len > 1 && (len > 2 || name[1] != '.'));
}

static bool entry_is_sane(const struct fs *fs, const struct disk_dirent *d, unsigned left)
{
	unsigned rec_len = le16_get(d->rec_len);
	uint64_t ino = le48_get(d->ino);

	if (rec_len < DIRENT_MIN || rec_len % 4 || rec_len > left)
		return false;
	if (ino == 0)
		return true;
	return ino <= geo_nr_inodes(&fs->geo) && sizeof(*d) + d->name_len <= rec_len &&
	       name_is_sane((const uint8_t *)(d + 1), d->name_len);
}

int dir_check_entries(const struct fs *fs, const uint8_t *area, unsigned bytes)
{
	unsigned offset = 0;

	while (offset < bytes) {
		const struct disk_dirent *d = (const struct disk_dirent *)(area + offset);

		if (bytes - offset < DIRENT_MIN || !entry_is_sane(fs, d, bytes - offset))
			return -EUCLEAN;
		offset += le16_get(d->rec_len);
	}
	return 0;
}

static int check_block(const struct fs *fs, const void *data)
{
	return dir_check_entries(fs, (const uint8_t *)data + DISK_HEAD_BYTES,
				 fs->geo.block_bytes - DISK_HEAD_BYTES);
}

int dir_read_block(struct inode *dir, uint64_t index, struct bufio_buffer **ret_b)
{
	struct mapping m;
	int r;

	if (index >= dir_nr_blocks(dir))
		return -EUCLEAN;
	r = bmap_lookup(dir, index, 1, &m);
	if (r < 0)
		return r;
	if (!m.physical || m.unwritten)
		return -EUCLEAN;
	return meta_read(dir->fs, m.physical,
			 &(struct meta_expected){META_DIR, dir->ino, check_block}, ret_b);
}

struct dir_area area_of_block(struct bufio_buffer *b)
{
	unsigned block_bytes = bufio_block_bytes(bufio_client_of(b));

	return (struct dir_area){(uint8_t *)bufio_data(b) + DISK_HEAD_BYTES,
				 block_bytes - DISK_HEAD_BYTES};
}

struct dir_area area_of_inline(struct inode *dir)
{
	return (struct dir_area){dir->tail, inode_data_bytes(dir)};
}

void area_init(struct dir_area a)
{
	memset(a.bytes, 0, a.size);
	if (a.size)
		area_entry(a, 0)->rec_len = le16_make((uint16_t)a.size);
}

/* The area had old_size bytes; what follows them becomes free. */
void area_grow(struct dir_area a, unsigned old_size)
{
	struct dir_area rest = {a.bytes + old_size, a.size - old_size};

	area_init(rest);
}

static unsigned entry_gap(const struct disk_dirent *d)
{
	unsigned rec_len = le16_get(d->rec_len);

	return le48_get(d->ino) ? rec_len - dir_entry_bytes(d->name_len) : rec_len;
}

bool area_is_empty(struct dir_area a)
{
	for (unsigned o = 0; o < a.size; o += le16_get(area_entry(a, o)->rec_len)) {
		if (le48_get(area_entry(a, o)->ino))
			return false;
	}
	return true;
}

unsigned area_room(struct dir_area a)
{
	unsigned room = 0;

	for (unsigned o = 0; o < a.size; o += le16_get(area_entry(a, o)->rec_len)) {
		unsigned gap = entry_gap(area_entry(a, o));

		if (gap > room)
			room = gap;
	}
	return room;
}

static bool entry_has_name(const struct disk_dirent *d, const struct dir_name *n)
{
	return d->name_len == n->len && le48_get(d->ino) && !memcmp(d + 1, n->bytes, n->len);
}

int area_find(struct dir_area a, const struct dir_name *n)
{
	for (unsigned o = 0; o < a.size; o += le16_get(area_entry(a, o)->rec_len)) {
		if (entry_has_name(area_entry(a, o), n))
			return (int)o;
	}
	return -ENOENT;
}

int area_find_gap(struct dir_area a, unsigned bytes)
{
	for (unsigned o = 0; o < a.size; o += le16_get(area_entry(a, o)->rec_len)) {
		if (entry_gap(area_entry(a, o)) >= bytes)
			return (int)o;
	}
	return -ENOSPC;
}

/* For an offset that the index names: it may lie.  What is there may then be part of a name. */
bool area_matches(struct dir_area a, unsigned offset, const struct dir_name *n)
{
	if (offset + dir_entry_bytes(n->len) > a.size)
		return false;
	return entry_has_name(area_entry(a, offset), n);
}

unsigned area_add_offset(struct dir_area a, unsigned offset)
{
	const struct disk_dirent *d = area_entry(a, offset);

	return le48_get(d->ino) ? offset + dir_entry_bytes(d->name_len) : offset;
}

unsigned area_add(struct dir_area a, unsigned offset, const struct dir_name *n, uint64_t ino,
		  unsigned type)
{
	struct disk_dirent *d = area_entry(a, offset);
	unsigned gap = entry_gap(d), used = le16_get(d->rec_len) - gap;

	if (used)
		d->rec_len = le16_make((uint16_t)used);
	d = area_entry(a, offset + used);
	memset(d, 0, dir_entry_bytes(n->len));
	d->ino = le48_make(ino);
	d->name_len = (uint8_t)n->len;
	d->type = (uint8_t)type;
	d->rec_len = le16_make((uint16_t)gap);
	memcpy(d + 1, n->bytes, n->len);
	return offset + used;
}

int area_previous(struct dir_area a, unsigned offset)
{
	unsigned previous = 0, o = 0;

	while (o < offset && o < a.size) {
		previous = o;
		o += le16_get(area_entry(a, o)->rec_len);
	}
	return o == offset && o < a.size ? (int)previous : -EUCLEAN;
}

void area_remove(struct dir_area a, unsigned offset, unsigned previous)
{
	struct disk_dirent *d = area_entry(a, offset), *before = area_entry(a, previous);
	unsigned rec_len = le16_get(d->rec_len);

	if (d == before)
		d->ino = le48_make(0);
	else
		before->rec_len = le16_make((uint16_t)(le16_get(before->rec_len) + rec_len));
}
