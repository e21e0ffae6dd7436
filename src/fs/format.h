/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FORMAT_H
#define FS_FORMAT_H

/*
 * The structures of docs/FORMAT.md, section by section.  A disk integer is an array of
 * bytes, so that only the functions here can look inside it: no alignment, no byte order.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint8_t b[2];
} le16;
typedef struct {
	uint8_t b[4];
} le32;
typedef struct {
	uint8_t b[6];
} le48;
typedef struct {
	uint8_t b[8];
} le64;
typedef struct {
	uint8_t b[3];
} le24;

static inline uint64_t bytes_get(const uint8_t *b, unsigned nr)
{
	uint64_t v = 0;

	while (nr--)
		v = v << 8 | b[nr];
	return v;
}

static inline void bytes_put(uint8_t *b, unsigned nr, uint64_t v)
{
	for (; nr--; v >>= 8)
		*b++ = (uint8_t)v;
}

#define FORMAT_INTEGER(type, bytes, ctype)                                                         \
	static inline ctype type##_get(type v)                                                     \
	{                                                                                          \
		return (ctype)bytes_get(v.b, bytes);                                               \
	}                                                                                          \
	static inline type type##_make(ctype v)                                                    \
	{                                                                                          \
		type r;                                                                            \
		bytes_put(r.b, bytes, v);                                                          \
		return r;                                                                          \
	}

FORMAT_INTEGER(le16, 2, uint16_t)
FORMAT_INTEGER(le24, 3, uint32_t)
FORMAT_INTEGER(le32, 4, uint32_t)
FORMAT_INTEGER(le48, 6, uint64_t)
FORMAT_INTEGER(le64, 8, uint64_t)

/* Section 1: the block head */

#define DISK_MAGIC(a, b, c, d)                                                                     \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

#define MAGIC_SUPER	   DISK_MAGIC('b', 'u', 'f', 'S')
#define MAGIC_GDT	   DISK_MAGIC('b', 'G', 'D', 'T')
#define MAGIC_BLOCK_BITMAP DISK_MAGIC('b', 'B', 'B', 'M')
#define MAGIC_INODE_BITMAP DISK_MAGIC('b', 'I', 'B', 'M')
#define MAGIC_EXTENT	   DISK_MAGIC('b', 'E', 'X', 'T')
#define MAGIC_INDEX	   DISK_MAGIC('b', 'I', 'D', 'X')
#define MAGIC_DIR	   DISK_MAGIC('b', 'D', 'I', 'R')
#define MAGIC_SYMLINK	   DISK_MAGIC('b', 'S', 'Y', 'M')
#define MAGIC_XATTR	   DISK_MAGIC('b', 'X', 'A', 'T')
#define MAGIC_XATTR_VALUE  DISK_MAGIC('b', 'X', 'A', 'V')
#define MAGIC_LOG	   DISK_MAGIC('b', 'L', 'O', 'G')
#define MAGIC_RECORD	   DISK_MAGIC('b', 'R', 'E', 'C')

struct disk_head {
	le32 magic, crc;
	le64 block;
	le64 owner;
	le64 seq;
};
static_assert(sizeof(struct disk_head) == 32, "FORMAT.md section 1");

#define DISK_HEAD_BYTES ((unsigned)sizeof(struct disk_head))

/* Section 2: layout */

#define FORMAT_MIN_BLOCK_BYTES	   1024u
#define FORMAT_MAX_BLOCK_BYTES	   65536u
#define FORMAT_DEFAULT_BLOCK_BYTES 4096u
#define FORMAT_MAX_BLOCKS	   (UINT64_C(1) << 48)
#define FORMAT_MIN_LAST_GROUP_FREE 16u
#define FORMAT_MIN_LOG_BLOCKS	   128u
#define FORMAT_MAX_LOG_BYTES	   (UINT64_C(1) << 30)

/* Section 3: superblock */

#define SUPER_SIGNATURE "bufs-fs\n"
#define SUPER_VERSION	1u
#define SUPER_BYTES	1024u

#define SUPER_CLEAN    (1u << 0)
#define SUPER_ERRORS   (1u << 1)
#define SUPER_REPLAYED (1u << 2)

#define INCOMPAT_LOG	(UINT64_C(1) << 0)
#define INCOMPAT_KNOWN	INCOMPAT_LOG /* what this version can mount */
#define RO_COMPAT_KNOWN UINT64_C(0)

#define LABEL_MAX 63

struct disk_error {
	le64 time, ino, block;
	le32 error, line;
	uint8_t function[32];
};
static_assert(sizeof(struct disk_error) == 64, "FORMAT.md section 3");

struct disk_super {
	struct disk_head head;
	uint8_t signature[8];
	le32 version, state;
	le64 compat, ro_compat, incompat;
	uint8_t uuid[16];
	uint8_t label[64];
	le32 block_bytes, inode_bytes;
	le64 nr_blocks;
	le32 blocks_per_group, inodes_per_group;
	le32 nr_groups, gdt_blocks;
	le64 log_start;
	le32 log_blocks, reserved1;
	le64 hash_seed;
	le64 made_time, mount_time, write_time, check_time;
	le32 mount_count, error_count;
	struct disk_error first_error, last_error;
	uint8_t mounted_at[64];
	uint8_t reserved2[584];
};
static_assert(sizeof(struct disk_super) == SUPER_BYTES, "FORMAT.md section 3");
static_assert(offsetof(struct disk_super, block_bytes) == 152, "FORMAT.md section 3");
static_assert(offsetof(struct disk_super, first_error) == 248, "FORMAT.md section 3");
static_assert(offsetof(struct disk_super, mounted_at) == 376, "FORMAT.md section 3");

/* Section 4: group descriptors */

#define GROUP_BLOCKS_UNINIT (1u << 0)
#define GROUP_INODES_UNINIT (1u << 1)

struct disk_group {
	le32 free_blocks, free_inodes;
	le32 itable_mark;
	le32 nr_dirs, nr_orphans;
	le16 flags;
	uint8_t reserved[10];
};
static_assert(sizeof(struct disk_group) == 32, "FORMAT.md section 4");

/* Section 6: inodes */

#define INODE_BYTES	 256u
#define INODE_TAIL_BYTES 144u
#define INODE_ROOT	 UINT64_C(1)

#define DATA_NONE    0
#define DATA_INLINE  1
#define DATA_EXTENTS 2
#define DATA_TREE    3

#define INODE_STATE_TRUNCATE (1u << 0)

struct disk_inode {
	le32 crc;
	le16 mode;
	uint8_t data_format, xattr_bytes;
	le32 nlink, uid, gid, flags, generation, nr_entries;
	le64 size, blocks;
	le64 atime, mtime, ctime, btime;
	le64 xattr_block, special, parent;
	le32 state, projid;
	uint8_t tail[INODE_TAIL_BYTES];
};
static_assert(sizeof(struct disk_inode) == INODE_BYTES, "FORMAT.md section 6");
static_assert(offsetof(struct disk_inode, size) == 32, "FORMAT.md section 6");
static_assert(offsetof(struct disk_inode, xattr_block) == 80, "FORMAT.md section 6");
static_assert(offsetof(struct disk_inode, tail) == 112, "FORMAT.md section 6");

/* Section 7: extents and trees */

#define EXTENT_UNWRITTEN 1u
#define EXTENT_MAX_COUNT 0xffffffu
#define TREE_MAX_LEVEL	 7u

struct disk_extent {
	le48 logical, physical;
	le24 count;
	uint8_t flags;
};
static_assert(sizeof(struct disk_extent) == 16, "FORMAT.md section 7");

struct disk_node {
	struct disk_head head;
	le16 level, count;
	le32 reserved;
};
static_assert(sizeof(struct disk_node) == 40, "FORMAT.md section 7");

struct disk_branch {
	le64 key, child;
};
static_assert(sizeof(struct disk_branch) == 16, "FORMAT.md section 7");

/* Section 8: directories */

#define NAME_BYTES_MAX 255u
#define DIRENT_MIN     12u

struct disk_dirent {
	le48 ino;
	uint8_t name_len, type;
	le16 rec_len;
	/* name follows */
};
static_assert(sizeof(struct disk_dirent) == 10, "FORMAT.md section 8");

/* Section 9: symlinks and extended attributes */

#define SYMLINK_MAX 4095u

struct disk_chain { /* bXAT and bXAV */
	struct disk_head head;
	le64 next;
	le32 used, reserved;
};
static_assert(sizeof(struct disk_chain) == 48, "FORMAT.md section 9");

#define XATTR_EXTERNAL	(1u << 0)
#define XATTR_VALUE_MAX 65536u

struct disk_xattr {
	uint8_t prefix, name_len;
	le16 flags;
	le32 value_bytes;
};
static_assert(sizeof(struct disk_xattr) == 8, "FORMAT.md section 9");

#define ACL_VERSION 2u

enum acl_tag { /* ACL_TAGS: none */
	       ACL_USER_OBJ = 0x01,
	       ACL_USER = 0x02,
	       ACL_GROUP_OBJ = 0x04,
	       ACL_GROUP = 0x08,
	       ACL_MASK = 0x10,
	       ACL_OTHER = 0x20,
	       ACL_TAGS = 0x40,
};

struct disk_acl { /* the value of prefixes 4 and 5; entries follow */
	le32 version;
};
static_assert(sizeof(struct disk_acl) == 4, "FORMAT.md section 9");

struct disk_acl_entry {
	le16 tag, perm;
	le32 id;
};
static_assert(sizeof(struct disk_acl_entry) == 8, "FORMAT.md section 9");

/* Section 10: log */

struct disk_log {
	struct disk_head head;
	le64 tail_seq;
	le32 tail_offset, reserved;
};
static_assert(sizeof(struct disk_log) == 48, "FORMAT.md section 10");

struct disk_record {
	struct disk_head head;
	le32 nr_blocks, nr_tags;
	le64 tail_seq;
	le32 tail_offset, reserved;
	le64 time;
};
static_assert(sizeof(struct disk_record) == 64, "FORMAT.md section 10");

struct disk_tag {
	le64 block, mask;
};
static_assert(sizeof(struct disk_tag) == 16, "FORMAT.md section 10");

#endif
