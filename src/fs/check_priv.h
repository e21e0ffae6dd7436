/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_CHECK_PRIV_H
#define FS_CHECK_PRIV_H

/*
 * What the parts of check_fs() share.  They work on raw blocks with a struct fs that has nothing but
 * numbers in it: no transactions, no allocator and no tree code of the mounted filesystem, because all of
 * that may trust what is to be found out here.
 *
 *	check_super.c	 pass 0: the superblock, and the writing of it at the end
 *	check_log.c	 before: the replay; pass 0: the log's first block
 *	check_groups.c	 pass 0: descriptors, itable_mark
 *	check_table.c	 pass 1: the tables of inodes
 *	check_inodes.c	 ... each inode by itself, and which blocks it claims
 *	check_claims.c	 ... and the conflicts over them
 *	check_attrs.c	 its extended attributes
 *	check_remap.c	 pass 1b: mappings written anew, blocks claimed twice
 *	check_dirs.c	 pass 2: the names
 *	check_names.c	 one area of a directory; names that occur twice
 *	check_connect.c	 pass 3: every directory hangs below the root
 *	check_lost.c	 lost+found
 *	check_index.c	 the hash index of a directory: compare, write anew
 *	check_links.c	 pass 4: link counts, orphans
 *	check_bitmaps.c	 pass 5: bitmaps and descriptors
 *	check_map.c	 what an inode maps; check_tree.c: trees, read and written
 *	check_blocks.c	 which blocks are claimed, and blocks and inodes on the disk
 *	check_ahead.c	 reading ahead
 *	check_report.c	 a problem
 *
 * Decisions are made from what was found (the notes), repairs at once, so later passes see them.  What
 * could not be repaired is stepped around: every pass copes with any bytes.
 */
#include "extents.h"
#include "fsck.h"
#include "meta.h"

#include <dirent.h>

/* May a problem be mended by itself? */
enum fix {
	FIX_SAFE,    /* nothing that has a name or data is lost */
	FIX_LOSSY,   /* something may be */
	FIX_NEVER,   /* nothing can be done */
	FIX_DERIVED, /* safe, if all before it was mended: it follows from the rest */
};

struct at {
	uint64_t ino, block;
};

/* What pass 1 keeps of an inode. */
struct note {
	uint32_t nlink; /* as stored */
	uint32_t names; /* found */
	uint32_t dir;	/* directories: index in check->dirs */
	uint8_t type;	/* DT_*; 0: free */
	uint8_t flags;
};
#define NOTE_TRUNCATE 1u

struct check_dir {
	uint64_t ino;
	uint64_t parent;     /* as stored */
	uint64_t found;	     /* the directory that names it, 0: none */
	uint32_t subdirs;    /* names of directories in it */
	uint32_t nr_entries; /* names in it */
	uint8_t flags;
};
#define DIR_REINDEX   1u /* its index is to be written anew */
#define DIR_VISITING  2u
#define DIR_CONNECTED 4u
#define DIR_ORPHAN    8u

struct check_group {
	uint8_t *blocks; /* claimed, as in a bitmap block behind its head; NULL: what is always */
	struct note *notes; /* itable_mark of them */
	uint32_t itable_mark;
	bool lost;		/* the descriptor could not be read: all of it is made up */
	struct disk_group disk; /* as read */
};

/* A growing array. */
struct vec {
	void *items;
	size_t nr, max;
};

/* Blocks that two claim, and this inode came second. */
struct dup {
	uint64_t logical, physical;
	uint64_t count;
};

/* What to take away behind the end of a file. */
enum map_cut { MAP_KEEP_UNWRITTEN, MAP_CUT_ALL };

/* An inode whose mapping is to be written anew. */
struct remap {
	uint64_t ino;
	size_t dup_from, dup_to; /* in check->dups */
	uint64_t others;	 /* blocks it owns that are no data and no extent tree */
	bool cut;		 /* take away what lies past the size, */
	enum map_cut how;	 /* ... and how */
};

struct check {
	struct bufio_engine *engine;
	struct check_options o;
	struct check_result result;
	struct fs fs; /* geo, crc_seed, hash_seed and bufio only */
	struct disk_super super;
	uint64_t super_seq;
	bool stopped; /* preen met what it may not mend */
	bool log_bad; /* it could not be replayed */
	struct bufio_engine
		*overlay; /* what a replay would give, for a check that writes nothing */
	bool was_clean;
	bool crashed; /* orphans are the next mount's to free, and no fault */
	struct check_group *groups;
	struct vec dirs;   /* struct check_dir */
	struct vec remaps; /* struct remap */
	struct vec dups;   /* struct dup */
	struct vec freed;  /* uint64_t: blocks to be free after pass 1b */
	struct vec keys;   /* scratch of pass 2: uint64_t */
	struct vec lost;   /* uint64_t: inodes for lost+found */
	uint32_t alloc_group, alloc_index;
	struct vec ahead;   /* check_ahead.c: what will be wanted, */
	uint32_t ahead_nr;  /* ... in blocks, */
	uint32_t ahead_max; /* ... at most an eighth of the cache */
};

/* What an inode maps, as far as it is valid. */
struct map {
	struct vec extents; /* struct extent, by logical block */
	struct vec nodes;   /* uint64_t: of its extent tree */
	uint64_t bad_block; /* one that is bad, or 0 */
	unsigned nr_bad;    /* extents and nodes left out */
};

/* check_report.c: true: mend it now. */
bool problem(struct check *c, enum fix fix, const char *code, struct at at, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
bool check_writes(const struct check *c);
bool check_all_mended(const struct check *c);
void check_progress(const struct check *c, unsigned pass, uint64_t done, uint64_t total);

/* check_blocks.c */
int vec_push(struct vec *v, size_t item_bytes, const void *item);
void vec_free(struct vec *v);
int block_read(struct check *c, uint64_t block, enum meta_kind kind, uint64_t owner,
	       struct bufio_buffer **ret_b);
int block_new(struct check *c, uint64_t block, enum meta_kind kind, uint64_t owner,
	      struct bufio_buffer **ret_b);
void block_store(struct check *c, struct bufio_buffer *b); /* stamp, mark dirty, release */
void block_head(void *data, enum meta_kind kind, uint64_t block, uint64_t owner);

int claim_init(struct check *c);
uint8_t *claim_map(struct check *c, uint32_t group); /* NULL: no memory */
/* Take the first blocks of a run that are alike; how many, and whether they were taken before. */
int64_t claim_run(struct check *c, uint64_t block, uint64_t count, bool *ret_taken);
bool claim_is_trivial(const struct check *c, uint32_t group); /* nothing but what is always */
int claim_is_taken(struct check *c, uint64_t block);
int claim_free(struct check *c, uint64_t block, uint64_t count);
/* A free block near goal, claimed.  -ENOSPC; -EBUSY: it is not known what is free, as something was not mended. */
int claim_alloc(struct check *c, uint64_t goal, uint64_t *ret_block);

/* NULL: no inode of its group that is known to exist, or no number of an inode */
struct note *note_of(struct check *c, uint64_t ino);
int inode_load(struct check *c, uint64_t ino, struct disk_inode *ret);
int inode_save(struct check *c, uint64_t ino, struct disk_inode *d); /* stamps d */
bool inode_crc_is_good(const struct check *c, uint64_t ino, const struct disk_inode *d);
void inode_stamp(const struct check *c, uint64_t ino, struct disk_inode *d);
void inode_clear(struct disk_inode *d); /* free, but for the generation */

/* check_tree.c */
struct tree_walk {
	struct check *c;
	enum meta_kind kind;
	uint64_t owner;
	int (*record)(void *context, const void *record); /* < 0 ends the walk */
	void *context;
	struct vec *nodes; /* uint64_t, may be NULL */
	uint64_t bad_block;
	unsigned nr_bad;
};
int tree_walk(struct tree_walk *w, uint64_t root);
/* A tree that is to be written, and then where it is. */
struct new_tree {
	enum meta_kind kind;
	uint64_t owner;
	uint64_t root;	    /* 0: it has no records */
	uint64_t nr_blocks; /* nodes made */
};
/* Write a tree of sorted records.  -ENOSPC: nothing was taken. */
int tree_build(struct check *c, const struct vec *records, struct new_tree *tree);

/* Of the tail.  What extended attributes it says it has may be wrong. */
static inline unsigned data_bytes_of(const struct disk_inode *d)
{
	unsigned xattr_bytes = d->xattr_bytes;

	if (xattr_bytes % 4 || xattr_bytes > INODE_TAIL_BYTES)
		xattr_bytes = 0;
	return INODE_TAIL_BYTES - xattr_bytes;
}

/* check_map.c */
int map_load(struct check *c, uint64_t ino, const struct disk_inode *d, struct map *ret);
void map_finish(struct map *m);
void map_prefetch(struct check *c, const struct map *m, bool has_index); /* of a directory */
bool map_is_dense(const struct map *m);
uint64_t map_blocks(const struct map *m); /* of data */
/* Forget what lies past the size. */
uint64_t map_cut(struct map *m, uint64_t nr_blocks, enum map_cut how); /* blocks cut */
void map_make_dense(struct map *m);
uint64_t map_find(const struct map *m, uint64_t logical); /* 0: a hole */
/* Into the tail or a new tree. */
int map_store(struct check *c, uint64_t ino, const struct map *m, struct disk_inode *d,
	      uint64_t *ret_nodes);
void dir_make_empty(struct disk_inode *d);

/* check_ahead.c: add what will be wanted, then go.  No block or inode of these is trusted. */
void ahead_add(struct check *c, uint64_t block, uint64_t count);
void ahead_go(struct check *c);
void ahead_inode(struct check *c, const struct disk_inode *d); /* adds what pass 1 reads of it */
void ahead_dir(struct check *c, const struct disk_inode *d);   /* ... pass 2 */
#define AHEAD_GROUPS 64u
void ahead_bitmaps(struct check *c, uint32_t group, uint32_t nr); /* of nr groups, and goes */

/* The passes and their parts. */
int check_super_open(struct check *c);
int check_super_close(struct check *c);
int check_groups_open(struct check *c);
int check_replay(struct check *c);
int check_log(struct check *c);
int check_inodes(struct check *c);
int check_remaps(struct check *c);
int check_dirs(struct check *c);
int check_connect(struct check *c);
int check_links(struct check *c);
int check_bitmaps(struct check *c);

/* check_claims.c */
/* An inode in pass 1; d is a copy, stored if it was changed. */
struct scan {
	struct check *c;
	uint64_t ino;
	struct disk_inode d;
	struct map map;
	struct vec others; /* uint64_t: blocks of the index and the attributes */
	bool changed, remap, cut, reindex;
	enum map_cut how;
	size_t dup_from;
};

int scan_claim(struct scan *s);

/* check_inodes.c */
int check_inode(struct check *c, uint64_t ino, const struct disk_inode *d);
int scan_note(
	struct
	scan *s); /* keep what later passes need; its group gets notes with its first inode in use */

/* check_attrs.c: what it claims goes to claims; true in *ret_changed: d was changed. */
int check_attrs(struct check *c, uint64_t ino, struct disk_inode *d, struct vec *claims);
void attrs_drop(struct disk_inode *d); /* all of them: also a record in the tail may have blocks */

/* check_names.c */
struct dir_scan {
	struct check *c;
	struct check_dir *dir;
	struct disk_inode d;
	struct map map;
	bool inode_changed, reindex;
};
int scan_open(struct check *c, struct check_dir *dir, struct dir_scan *s);
void scan_close(struct dir_scan *s);
unsigned scan_nr_areas(const struct dir_scan *s);
/* An area: of the inode (*ret_b NULL) or of a block, head unchecked. */
struct names_area {
	struct bufio_buffer *b;
	uint8_t *bytes;
	unsigned size;
	uint64_t position; /* of its first byte */
};
int scan_area(struct dir_scan *s, uint64_t index, struct names_area *ret);
void area_store(struct dir_scan *s, struct names_area *a); /* it was changed; releases it */
void area_close(struct names_area *a);
bool dirent_chain_is_good(const struct disk_dirent *d, unsigned left);
bool dirent_name_is_good(const struct disk_dirent *d);
int names_find_twice(struct dir_scan *s);
/* Forget that dir names ino. */
void names_uncount(struct check *c, struct check_dir *dir, uint64_t ino);

/* Take away the name of ino in dir. */
int names_remove(struct check *c, struct check_dir *dir, uint64_t ino);

/* check_index.c */
int index_compare(struct dir_scan *s);
int index_rebuild(struct check *c, struct check_dir *dir);
/* Take away the index's blocks: *d has none afterwards. */
int index_drop(struct check *c, uint64_t ino, struct disk_inode *d);
uint64_t index_key_of(const struct check *c, const struct disk_dirent *d, uint64_t position);
void keys_sort(struct vec *keys);

/* check_lost.c: give each of c->lost a name. */
int lost_attach(struct check *c);

static inline struct check_dir *dir_at(struct check *c, size_t i)
{
	return (struct check_dir *)c->dirs.items + i;
}

#endif
