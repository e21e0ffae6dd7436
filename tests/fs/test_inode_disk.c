/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An inode between disk and memory: every field, and what is refused.  No filesystem is needed. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "crc.h"
#include "inode.h"

#define BLOCK 4096u

/* Enough of a filesystem for encode and decode: one group of 10000 blocks. */
static struct fs disk_fs(void)
{
	return (struct fs){
		.crc_seed = 77,
		.geo = {.block_bytes = BLOCK,
			.block_shift = 12,
			.nr_blocks = 10000,
			.blocks_per_group = (BLOCK - 32) * 8,
			.inodes_per_group = 1024,
			.nr_groups = 1,
			.gdt_blocks = 1,
			.inodes_per_block = BLOCK / INODE_BYTES,
			.itable_blocks = 1024 * INODE_BYTES / BLOCK,
			.groups_per_gdt_block = (BLOCK - 32) / 32,
			.log_start = 9000,
			.log_blocks = 100},
	};
}

/* FORMAT.md section 6 */
static uint32_t disk_crc(const struct fs *fs, uint64_t ino, const struct disk_inode *d)
{
	le64 number = le64_make(ino);

	return crc32c(crc32c(fs->crc_seed, &number, sizeof(number)), d, sizeof(*d));
}

static struct disk_extent disk_extent(uint64_t logical, uint64_t physical, uint32_t count)
{
	return (struct disk_extent){le48_make(logical), le48_make(physical), le24_make(count), 0};
}

static void put_extent(struct inode *inode, unsigned i, struct disk_extent e)
{
	memcpy(inode->tail + i * sizeof(e), &e, sizeof(e));
}

/* A file with two extents, and all fields different. */
static struct inode good_file(struct fs *fs)
{
	struct inode inode = {.fs = fs, .ino = 5};

	inode.mode = S_IFREG | 0640;
	inode.nlink = 3;
	inode.uid = 1000;
	inode.gid = 1001;
	inode.flags = 0x10;
	inode.generation = 99;
	inode.projid = 4;
	inode.size = 123456;
	inode.blocks = 8;
	inode.atime = (struct timespec){1, 2};
	inode.mtime = (struct timespec){-5, 999999999};
	inode.ctime = (struct timespec){5000000000, 4};
	inode.btime = (struct timespec){6, 7};
	inode.data_format = DATA_EXTENTS;
	put_extent(&inode, 0, disk_extent(0, 500, 4));
	put_extent(&inode, 1, disk_extent(100, 600, 4));
	return inode;
}

static struct inode good_dir(struct fs *fs)
{
	struct inode inode = {.fs = fs, .ino = 6};

	inode.mode = S_IFDIR | 0755;
	inode.nlink = 2;
	inode.parent = INODE_ROOT;
	inode.data_format = DATA_INLINE;
	inode.size = INODE_TAIL_BYTES;
	((struct disk_dirent *)inode.tail)->rec_len = le16_make(INODE_TAIL_BYTES);
	return inode;
}

static struct inode good_symlink(struct fs *fs)
{
	struct inode inode = {.fs = fs, .ino = 7};

	inode.mode = S_IFLNK | 0777;
	inode.nlink = 1;
	inode.data_format = DATA_INLINE;
	inode.size = 3;
	memcpy(inode.tail, "a/b", 3);
	return inode;
}

/* What decode says of an inode as encode writes it. */
static int decoded(const struct inode *inode)
{
	struct disk_inode d;
	struct inode out = {0};

	inode_encode(inode->fs, inode, &d);
	return inode_decode(inode->fs, inode->ino, &d, &out);
}

START_TEST(every_field_survives_encode_and_decode)
{
	struct fs fs = disk_fs();
	struct inode in = good_file(&fs), out = {0};
	struct disk_inode d;

	inode_encode(&fs, &in, &d);
	ck_assert_int_eq(inode_decode(&fs, 5, &d, &out), 0);
	ck_assert_uint_eq(out.mode, in.mode);
	ck_assert_uint_eq(out.nlink, in.nlink);
	ck_assert_uint_eq(out.uid, in.uid);
	ck_assert_uint_eq(out.gid, in.gid);
	ck_assert_uint_eq(out.flags, in.flags);
	ck_assert_uint_eq(out.generation, in.generation);
	ck_assert_uint_eq(out.projid, in.projid);
	ck_assert_uint_eq(out.size, in.size);
	ck_assert_uint_eq(out.blocks, in.blocks);
	ck_assert_int_eq(out.mtime.tv_sec, -5);
	ck_assert_int_eq(out.mtime.tv_nsec, 999999999);
	ck_assert_int_eq(out.ctime.tv_sec, 5000000000);
	ck_assert_mem_eq(out.tail, in.tail, INODE_TAIL_BYTES);
}
END_TEST

START_TEST(good_inodes_of_other_types_are_accepted)
{
	struct fs fs = disk_fs();
	struct inode dir = good_dir(&fs), link = good_symlink(&fs), fifo = {.fs = &fs, .ino = 9};

	fifo.mode = S_IFIFO;
	fifo.nlink = 1;
	ck_assert_int_eq(decoded(&dir), 0);
	ck_assert_int_eq(decoded(&link), 0);
	ck_assert_int_eq(decoded(&fifo), 0);
}
END_TEST

START_TEST(a_slot_of_zeroes_is_free)
{
	struct fs fs = disk_fs();
	struct disk_inode d = {0};
	struct inode out = {.mode = 1};

	ck_assert_int_eq(inode_decode(&fs, 5, &d, &out), 0);
	ck_assert_uint_eq(out.mode, 0);
}
END_TEST

START_TEST(a_free_inode_keeps_only_its_generation)
{
	struct fs fs = disk_fs();
	struct inode in = good_file(&fs), out = {0};
	struct disk_inode d;

	in.mode = 0;
	inode_encode(&fs, &in, &d);
	ck_assert_int_eq(inode_decode(&fs, 5, &d, &out), 0);
	ck_assert_uint_eq(out.mode, 0);
	ck_assert_uint_eq(out.generation, 99);
	ck_assert_uint_eq(out.size, 0);
	ck_assert_uint_eq(out.nlink, 0);
}
END_TEST

/* Else it would be in the next inode of this number: a length of attributes beyond the tail, for one. */
START_TEST(corrupt_free_inode_hands_nothing_down)
{
	struct fs fs = disk_fs();
	struct inode in = good_file(&fs), out = {0};
	struct disk_inode d;

	in.xattr_bytes = 200;
	in.xattr_block = in.special = in.parent = 77;
	inode_encode(&fs, &in, &d);
	d.mode = le16_make(0);
	d.crc = le32_make(0);
	d.crc = le32_make(disk_crc(&fs, 5, &d));
	ck_assert_int_eq(inode_decode(&fs, 5, &d, &out), 0);
	ck_assert_uint_eq(out.generation, 99);
	ck_assert_uint_eq(out.xattr_bytes, 0);
	ck_assert_uint_eq(out.xattr_block + out.special + out.parent + out.size + out.blocks, 0);
	ck_assert_uint_eq(out.uid + out.flags + out.projid + out.state + out.data_format, 0);
	for (unsigned i = 0; i < INODE_TAIL_BYTES; i++)
		ck_assert_uint_eq(out.tail[i], 0);
}
END_TEST

START_TEST(an_inode_belongs_to_its_number)
{
	struct fs fs = disk_fs();
	struct inode in = good_file(&fs), out = {0};
	struct disk_inode d;

	inode_encode(&fs, &in, &d);
	ck_assert_int_eq(inode_decode(&fs, 6, &d, &out), -EUCLEAN);
}
END_TEST

START_TEST(any_changed_byte_is_noticed)
{
	struct fs fs = disk_fs();
	struct inode in = good_file(&fs), out = {0};
	struct disk_inode d;

	inode_encode(&fs, &in, &d);
	((uint8_t *)&d)[_i] ^= 0x10;
	ck_assert_int_eq(inode_decode(&fs, 5, &d, &out), -EUCLEAN);
}
END_TEST

/* Each breaks one thing in a good inode; the checksum fits. */
struct corrupt_case {
	const char *what;
	struct inode (*good)(struct fs *fs);
	void (*corrupt)(struct inode *inode);
};

static void corrupt_type(struct inode *i)
{
	i->mode = 0130644;
}

static void corrupt_xattr_unaligned(struct inode *i)
{
	i->xattr_bytes = 6;
}

static void corrupt_xattr_too_long(struct inode *i)
{
	i->xattr_bytes = 148;
}

static void corrupt_format(struct inode *i)
{
	i->data_format = 4;
}

static void corrupt_state(struct inode *i)
{
	i->state = 2;
}

static void corrupt_blocks(struct inode *i)
{
	i->blocks = 10001;
}

static void corrupt_size(struct inode *i)
{
	i->size = UINT64_C(1) << 61;
}

static void corrupt_xattr_block(struct inode *i)
{
	i->xattr_block = 10000;
}

static void corrupt_xattr_block_fixed(struct inode *i)
{
	i->xattr_block = 3;
}

static void corrupt_extent_outside(struct inode *i)
{
	put_extent(i, 0, disk_extent(0, 9998, 4));
}

static void corrupt_extent_in_fixed_area(struct inode *i)
{
	put_extent(i, 0, disk_extent(0, 1, 4));
}

static void corrupt_extent_order(struct inode *i)
{
	put_extent(i, 0, disk_extent(200, 500, 4));
}

static void corrupt_extent_overlap(struct inode *i)
{
	put_extent(i, 0, disk_extent(0, 500, 101));
}

static void corrupt_extent_same_blocks(struct inode *i)
{
	put_extent(i, 0, disk_extent(0, 603, 4));
}

static void corrupt_extent_logical(struct inode *i)
{
	put_extent(i, 1, disk_extent((UINT64_C(1) << 48) - 2, 600, 4));
}

static void corrupt_extent_flags(struct inode *i)
{
	i->tail[15] = 2;
}

static void corrupt_tree_root(struct inode *i)
{
	i->data_format = DATA_TREE;
	memset(i->tail, 0, sizeof(i->tail));
}

static void corrupt_tree_room(struct inode *i)
{
	i->data_format = DATA_TREE;
	i->xattr_bytes = 140;
	memset(i->tail, 0, sizeof(i->tail));
	i->tail[1] = 2;
}

static void corrupt_inline_size(struct inode *i)
{
	memset(i->tail, 0, sizeof(i->tail));
	i->data_format = DATA_INLINE;
	i->size = 145;
}

static void corrupt_inline_rest(struct inode *i)
{
	memset(i->tail, 0, sizeof(i->tail));
	i->data_format = DATA_INLINE;
	i->size = 20;
	i->tail[20] = 1;
}

static void corrupt_none_tail(struct inode *i)
{
	i->data_format = DATA_NONE;
}

static void corrupt_dir_nlink(struct inode *i)
{
	i->nlink = 1;
}

static void corrupt_dir_parent(struct inode *i)
{
	i->parent = 1025;
}

static void corrupt_dir_no_parent(struct inode *i)
{
	i->parent = 0;
}

static void corrupt_dir_index(struct inode *i)
{
	i->special = 2;
}

static void corrupt_dir_size(struct inode *i)
{
	i->data_format = DATA_EXTENTS;
	i->size = 4097;
}

static void corrupt_dir_inline_size(struct inode *i)
{
	i->size = 140;
}

static void corrupt_dir_huge(struct inode *i)
{
	i->data_format = DATA_EXTENTS;
	i->size = UINT64_C(17) << 30;
}

static void corrupt_dir_without_blocks(struct inode *i)
{
	i->data_format = DATA_NONE;
	i->size = 4096;
}

static void corrupt_symlink_empty(struct inode *i)
{
	i->size = 0;
	memset(i->tail, 0, sizeof(i->tail));
}

static void corrupt_symlink_long(struct inode *i)
{
	i->data_format = DATA_EXTENTS;
	memset(i->tail, 0, sizeof(i->tail));
	i->size = 4096;
}

static void corrupt_symlink_without_data(struct inode *i)
{
	i->data_format = DATA_NONE;
	memset(i->tail, 0, sizeof(i->tail));
}

static void corrupt_fifo_with_size(struct inode *i)
{
	i->mode = S_IFIFO;
	i->data_format = DATA_NONE;
	memset(i->tail, 0, sizeof(i->tail));
}

static void corrupt_fifo_with_data(struct inode *i)
{
	i->mode = S_IFIFO;
	i->size = 0;
}

static void corrupt_root_type(struct inode *i)
{
	i->ino = INODE_ROOT;
}

static const struct corrupt_case corrupt_cases[] = {
	{"type", good_file, corrupt_type},
	{"xattr unaligned", good_file, corrupt_xattr_unaligned},
	{"xattr too long", good_file, corrupt_xattr_too_long},
	{"format", good_file, corrupt_format},
	{"state", good_file, corrupt_state},
	{"blocks", good_file, corrupt_blocks},
	{"size", good_file, corrupt_size},
	{"xattr block", good_file, corrupt_xattr_block},
	{"xattr block in a fixed area", good_file, corrupt_xattr_block_fixed},
	{"extent outside", good_file, corrupt_extent_outside},
	{"extent in a fixed area", good_file, corrupt_extent_in_fixed_area},
	{"extent order", good_file, corrupt_extent_order},
	{"extent overlap", good_file, corrupt_extent_overlap},
	{"extents with the same blocks", good_file, corrupt_extent_same_blocks},
	{"extent logical", good_file, corrupt_extent_logical},
	{"extent flags", good_file, corrupt_extent_flags},
	{"tree root", good_file, corrupt_tree_root},
	{"tree without room", good_file, corrupt_tree_room},
	{"inline size", good_file, corrupt_inline_size},
	{"inline rest", good_file, corrupt_inline_rest},
	{"none with a tail", good_file, corrupt_none_tail},
	{"dir nlink", good_dir, corrupt_dir_nlink},
	{"dir parent", good_dir, corrupt_dir_parent},
	{"dir without parent", good_dir, corrupt_dir_no_parent},
	{"dir index", good_dir, corrupt_dir_index},
	{"dir size", good_dir, corrupt_dir_size},
	{"dir inline size", good_dir, corrupt_dir_inline_size},
	{"dir huge", good_dir, corrupt_dir_huge},
	{"dir without blocks", good_dir, corrupt_dir_without_blocks},
	{"symlink empty", good_symlink, corrupt_symlink_empty},
	{"symlink long", good_symlink, corrupt_symlink_long},
	{"symlink without data", good_symlink, corrupt_symlink_without_data},
	{"fifo with size", good_file, corrupt_fifo_with_size},
	{"fifo with data", good_file, corrupt_fifo_with_data},
	{"root type", good_file, corrupt_root_type},
};

#define NR_CORRUPT_CASES ((int)(sizeof(corrupt_cases) / sizeof(corrupt_cases[0])))

START_TEST(corrupt_field_is_refused)
{
	const struct corrupt_case *c = &corrupt_cases[_i];
	struct fs fs = disk_fs();
	struct inode inode = c->good(&fs);

	ck_assert_int_eq(decoded(&inode), 0);
	c->corrupt(&inode);
	ck_assert_msg(decoded(&inode) == -EUCLEAN, "accepted: %s", c->what);
}
END_TEST

START_TEST(a_bad_nanosecond_is_refused)
{
	struct fs fs = disk_fs();
	struct inode inode = good_file(&fs);

	inode.mtime.tv_nsec = 1000000000;
	ck_assert_int_eq(decoded(&inode), -EUCLEAN);
}
END_TEST

START_TEST(times_are_kept_from_1901_to_2446_and_clamped_outside)
{
	static const struct timespec kept[] = {
		{0, 0}, {-1, 999999999}, {-(INT64_C(1) << 31), 0}, {15032385535, 999999999}};
	struct timespec t;

	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		t = time_decode(time_encode(kept[i]));
		ck_assert_int_eq(t.tv_sec, kept[i].tv_sec);
		ck_assert_int_eq(t.tv_nsec, kept[i].tv_nsec);
	}
	t = time_decode(time_encode((struct timespec){-(INT64_C(1) << 31) - 1, 5}));
	ck_assert_int_eq(t.tv_sec, -(INT64_C(1) << 31));
	ck_assert_int_eq(t.tv_nsec, 0);
	t = time_decode(time_encode((struct timespec){15032385536, 5}));
	ck_assert_int_eq(t.tv_sec, 15032385535);
	ck_assert_int_eq(t.tv_nsec, 999999999);
}
END_TEST

int main(void)
{
	TCase *disk = tcase_create("disk");
	TCase *const cases[] = {disk, NULL};

	tcase_add_test(disk, every_field_survives_encode_and_decode);
	tcase_add_test(disk, good_inodes_of_other_types_are_accepted);
	tcase_add_test(disk, a_slot_of_zeroes_is_free);
	tcase_add_test(disk, a_free_inode_keeps_only_its_generation);
	tcase_add_test(disk, corrupt_free_inode_hands_nothing_down);
	tcase_add_test(disk, an_inode_belongs_to_its_number);
	tcase_add_loop_test(disk, any_changed_byte_is_noticed, 0, INODE_BYTES);
	tcase_add_loop_test(disk, corrupt_field_is_refused, 0, NR_CORRUPT_CASES);
	tcase_add_test(disk, a_bad_nanosecond_is_refused);
	tcase_add_test(disk, times_are_kept_from_1901_to_2446_and_clamped_outside);
	return image_run("inode_disk", cases);
}
