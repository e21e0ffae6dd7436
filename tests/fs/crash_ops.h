/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_CRASH_OPS_H
#define TEST_CRASH_OPS_H

/* Operations over a small namespace, and ways to make them durable, for the tests of power cuts. */
#include "crash_fs.h"

enum op {
	CREATE,
	MKDIR,
	FIFO,
	SYMLINK,
	SYMLINK_LONG,
	LINK,
	LINK_OTHER_DIR,
	UNLINK,
	UNLINK_SMALL,
	UNLINK_OTHER,
	RMDIR,
	RENAME,
	RENAME_OVER,
	RENAME_DIR,
	RENAME_DIR_OVER,
	RENAME_BACK,
	EXCHANGE,
	EXCHANGE_DIR, /* with a file, so that both parents lose or get a link */
	CHMOD,
	CHOWN,
	CHATTR,
	CUT,
	CUT_TO_NOTHING,
	LENGTHEN,
	APPEND,
	APPEND_SMALL,
	APPEND_MUCH,
	OVERWRITE,
	WRITE_HOLE,
	GROW_INLINE,
	APPEND_OTHER,	   /* as much as rides in a record */
	APPEND_MUCH_OTHER, /* more */
	CUT_OTHER,
	PREALLOCATE,
	PREALLOCATE_KEEP, /* what the file has, and more behind its end */
	PUNCH,
	PUNCH_SMALL,
	ZERO,
	NAMELESS, /* made, and left for the mount to free */
	NAMELESS_LINK,
	WHITEOUT,
	WHITEOUT_OVER,
	XATTR, /* user.new of /A/foo: in its inode, in a block, in blocks of its own */
	XATTR_BLOCK,
	XATTR_BLOCKS,	   /* as much as rides in a record */
	XATTR_MANY_BLOCKS, /* more */
	XATTR_REPLACE,	   /* user.old, which has blocks of its own */
	XATTR_SHRINK,
	XATTR_REMOVE,
	ACL, /* of /A/foo */
	ACL_OF_DIR,
	NR_OPS,
};

extern const char *const op_names[NR_OPS];

/* CRASH_SHARE: only one in so many programs, for sanitizers; 1 if it is not set. */
unsigned crash_share(void);

enum persist {
	PERSIST_NONE,
	PERSIST_FSYNC_FOO,
	PERSIST_FDATASYNC_FOO,
	PERSIST_FSYNC_DIR,
	PERSIST_SYNC,
	/* what the operation was about, by the name it has then; the directory that is in */
	PERSIST_FSYNC_IT,
	PERSIST_FDATASYNC_IT,
	PERSIST_FSYNC_ITS_DIR,
	NR_PERSIST,
};

/* /A and /B with files of all kinds of contents, and an empty directory each. */
void populate(struct fs *fs);

/* One operation as a step of the world; it may fail. */
int world_op(struct world *w, enum op op, char fill);

int do_fallocate(struct fs *fs, const char *path, int mode, uint64_t offset, uint64_t len);

/* Is this another program than a lower way makes, what it was about being what that syncs? */
bool persists_otherwise(enum op op, enum persist how);

/* A way to make it durable, as a step unless it is none. */
void world_persist(struct world *w, enum op op, enum persist how);

#endif
