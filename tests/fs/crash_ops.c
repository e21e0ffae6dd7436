/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See crash_ops.h. */
#include "crash_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

unsigned crash_share(void)
{
	const char *text = getenv("CRASH_SHARE");
	unsigned share = text ? (unsigned)strtoul(text, NULL, 0) : 1;

	return share ? share : 1;
}

const char *const op_names[NR_OPS] = {
	"create",
	"mkdir",
	"fifo",
	"symlink",
	"symlink_long",
	"link",
	"link_other_dir",
	"unlink",
	"unlink_small",
	"unlink_other",
	"rmdir",
	"rename",
	"rename_over",
	"rename_dir",
	"rename_dir_over",
	"rename_back",
	"exchange",
	"exchange_dir",
	"chmod",
	"chown",
	"chattr",
	"cut",
	"cut_to_nothing",
	"lengthen",
	"append",
	"append_small",
	"append_much",
	"overwrite",
	"write_hole",
	"grow_inline",
	"append_other",
	"append_much_other",
	"cut_other",
	"preallocate",
	"preallocate_keep",
	"punch",
	"punch_small",
	"zero",
	"nameless",
	"nameless_link",
	"whiteout",
	"whiteout_over",
	"xattr",
	"xattr_block",
	"xattr_blocks",
	"xattr_many_blocks",
	"xattr_replace",
	"xattr_shrink",
	"xattr_remove",
	"acl",
	"acl_of_dir",
};

/* What an operation was about, where that is not /A/foo; a directory that lost a name. */
static const char *const its_paths[NR_OPS] = {
	[CREATE] = "/A/new",
	[MKDIR] = "/A/dir",
	[FIFO] = "/B/fifo",
	[SYMLINK] = "/A/link",
	[SYMLINK_LONG] = "/A/link",
	[LINK] = "/A/hard",
	[LINK_OTHER_DIR] = "/B/hard",
	[UNLINK] = "/A",
	[UNLINK_SMALL] = "/A",
	[UNLINK_OTHER] = "/B",
	[RMDIR] = "/A",
	[RENAME] = "/B/moved",
	[RENAME_DIR] = "/B/dir",
	[RENAME_DIR_OVER] = "/B/empty",
	[EXCHANGE] = "/B/foo",
	[EXCHANGE_DIR] = "/B/foo",
	[APPEND_SMALL] = "/A/bar",
	[GROW_INLINE] = "/B/foo",
	[APPEND_OTHER] = "/B/foo",
	[APPEND_MUCH_OTHER] = "/B/foo",
	[CUT_OTHER] = "/B/foo",
	[PUNCH_SMALL] = "/A/bar",
	[NAMELESS] = "/A",
	[NAMELESS_LINK] = "/A/new",
	[WHITEOUT] = "/B/moved",
	[WHITEOUT_OVER] = "/B/foo",
	[ACL_OF_DIR] = "/A",
};

static const char *path_of(enum op op)
{
	return its_paths[op] ? its_paths[op] : "/A/foo";
}

/* The directory that is in, or itself. */
static const char *dir_of(enum op op)
{
	return path_of(op)[1] == 'A' ? "/A" : "/B";
}

/* Of /A/foo. */
static int set_xattr(struct fs *fs, const char *name, size_t size, char fill)
{
	char value[30000];

	memset(value, fill, sizeof(value));
	return do_setxattr(fs, "/A/foo", name, value, size);
}

/*
 * /A/foo: 3000 bytes in blocks; /A/bar: 20 bytes inline; /B/foo: 100 bytes inline; /A/foo has an attribute of 2500 bytes; /A/empty and
 * /B/empty: directories.
 */
void populate(struct fs *fs)
{
	ck_assert_int_eq(do_make(fs, "/A", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/foo", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/bar", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B/foo", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/empty", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B/empty", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_write(fs, "/A/foo", 0, 3000, 'f'), 0);
	ck_assert_int_eq(do_write(fs, "/A/bar", 0, 20, 'b'), 0);
	ck_assert_int_eq(do_write(fs, "/B/foo", 0, 100, 'B'), 0);
	ck_assert_int_eq(set_xattr(fs, "user.old", 2500, 'o'), 0);
}

static uint64_t size_of(struct fs *fs, const char *path)
{
	struct fs_attr a = {.size = 0};
	uint64_t ino = path_ino(fs, path);

	if (ino && fs_getattr(fs, ino, &a) < 0)
		return 0;
	return a.size;
}

static int append(struct fs *fs, const char *path, size_t size, char fill)
{
	return do_write(fs, path, size_of(fs, path), size, fill);
}

int do_fallocate(struct fs *fs, const char *path, int mode, uint64_t offset, uint64_t len)
{
	uint64_t ino = path_ino(fs, path);

	return ino ? fs_fallocate(fs, ino, mode, offset, len) : -ENOENT;
}

static int set_flags(struct fs *fs, const char *path, uint32_t flags)
{
	uint64_t ino = path_ino(fs, path);

	return ino ? fs_set_flags(fs, ino, flags, 0) : -ENOENT;
}

static int make_nameless(struct fs *fs, const char *name)
{
	const struct fs_new what = {.mode = S_IFREG | 0644};
	uint64_t dir = path_ino(fs, "/A");
	struct fs_attr a, linked;
	int r;

	r = dir ? fs_make_nameless(fs, dir, &what, &a) : -ENOENT;
	if (r < 0)
		return r;
	r = (int)fs_write(fs, a.ino, 0, "without a name", 14);
	if (name && r >= 0) {
		r = fs_link(fs, a.ino, dir, name, &linked);
		if (r == 0)
			fs_forget(fs, a.ino, 1);
	}
	fs_forget(fs, a.ino, 1);
	return r < 0 ? r : 0;
}

static int rename_whiteout(struct fs *fs, const char *to)
{
	struct fs_names names = {.old_name = "foo", .new_name = to};

	names.old_dir = path_ino(fs, "/A");
	names.new_dir = path_ino(fs, "/B");
	if (!names.old_dir || !names.new_dir)
		return -ENOENT;
	return fs_rename_whiteout(fs, &names, 0, 0, 0);
}

/* Some fail after some others: that is a step too. */
static int run(struct fs *fs, enum op op, char fill)
{
	/* rw-, user 5: rwx, group r--, mask r-x, others - */
	static const uint8_t acl[] = {
		2,   0,	  0,   0, /* version */
		1,   0,	  6,   0,   255,  255, 255, 255, 2,   0,   7,	 0,   5, 0,
		0,   0,	  4,   0,   4,	  0,   255, 255, 255, 255, 0x10, 0,   5, 0,
		255, 255, 255, 255, 0x20, 0,   0,   0,	 255, 255, 255,	 255,
	};
	static char far_away[600];

	memset(far_away, 'l', sizeof(far_away) - 1);
	switch (op) {
	case CREATE:
		return do_make(fs, "/A/new", S_IFREG | 0600, NULL);
	case MKDIR:
		return do_make(fs, "/A/dir", S_IFDIR | 0700, NULL);
	case FIFO:
		return do_make(fs, "/B/fifo", S_IFIFO | 0600, NULL);
	case SYMLINK:
		return do_make(fs, "/A/link", S_IFLNK | 0777, "foo");
	case SYMLINK_LONG:
		return do_make(fs, "/A/link", S_IFLNK | 0777, far_away);
	case LINK:
		return do_link(fs, "/A/foo", "/A/hard");
	case LINK_OTHER_DIR:
		return do_link(fs, "/A/foo", "/B/hard");
	case UNLINK:
		return do_unlink(fs, "/A/foo");
	case UNLINK_SMALL:
		return do_unlink(fs, "/A/bar");
	case UNLINK_OTHER:
		return do_unlink(fs, "/B/foo");
	case RMDIR:
		return do_rmdir(fs, "/A/empty");
	case RENAME:
		return do_rename(fs, "/A/foo", "/B/moved", 0);
	case RENAME_OVER:
		return do_rename(fs, "/B/foo", "/A/foo", 0);
	case RENAME_DIR:
		return do_rename(fs, "/A/empty", "/B/dir", 0);
	case RENAME_DIR_OVER:
		return do_rename(fs, "/A/empty", "/B/empty", 0);
	case RENAME_BACK:
		return do_rename(fs, "/B/moved", "/A/foo", 0);
	case EXCHANGE:
		return do_rename(fs, "/A/foo", "/B/foo", RENAME_EXCHANGE);
	case EXCHANGE_DIR:
		return do_rename(fs, "/A/empty", "/B/foo", RENAME_EXCHANGE);
	case CHMOD:
		return do_chmod(fs, "/A/foo", 0600);
	case CHOWN:
		return do_chown(fs, "/A/foo", 5, 6);
	case CHATTR:
		return set_flags(fs, "/A/foo", FS_NODUMP_FL);
	case CUT:
		return do_truncate(fs, "/A/foo", 1500);
	case CUT_TO_NOTHING:
		return do_truncate(fs, "/A/foo", 0);
	case LENGTHEN:
		return do_truncate(fs, "/A/foo", 5000);
	case APPEND:
		return append(fs, "/A/foo", 2000, fill);
	case APPEND_SMALL:
		return append(fs, "/A/bar", 30, fill);
	case APPEND_MUCH:
		return append(fs, "/A/foo", 70000, fill);
	case OVERWRITE:
		return do_write(fs, "/A/foo", 500, 1500, fill);
	case WRITE_HOLE:
		return do_write(fs, "/A/foo", 9000, 1200, fill);
	case GROW_INLINE:
		return append(fs, "/B/foo", 900, fill);
	case APPEND_OTHER:
		return append(fs, "/B/foo", 15000, fill);
	case APPEND_MUCH_OTHER:
		return append(fs, "/B/foo", 70000, fill);
	case CUT_OTHER:
		return do_truncate(fs, "/B/foo", 0);
	case PREALLOCATE:
		return do_fallocate(fs, "/A/foo", 0, 4200, 2500);
	case PREALLOCATE_KEEP:
		return do_fallocate(fs, "/A/foo", FALLOC_FL_KEEP_SIZE, 2000, 2500);
	case PUNCH:
		return do_fallocate(fs, "/A/foo", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 300,
				    2500);
	case PUNCH_SMALL:
		return do_fallocate(fs, "/A/bar", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5,
				    2500);
	case ZERO:
		return do_fallocate(fs, "/A/foo", FALLOC_FL_ZERO_RANGE, 900, 2500);
	case XATTR:
		return set_xattr(fs, "user.new", 20, fill);
	case XATTR_BLOCK:
		return set_xattr(fs, "user.new", 400, fill);
	case XATTR_BLOCKS:
		return set_xattr(fs, "user.new", 5000, fill);
	case XATTR_MANY_BLOCKS:
		return set_xattr(fs, "user.new", 30000, fill);
	case XATTR_REPLACE:
		return set_xattr(fs, "user.old", 3500, fill);
	case XATTR_SHRINK:
		return set_xattr(fs, "user.old", 10, fill);
	case XATTR_REMOVE:
		return do_removexattr(fs, "/A/foo", "user.old");
	case ACL:
		return do_setxattr(fs, "/A/foo", "system.posix_acl_access", acl, sizeof(acl));
	case ACL_OF_DIR:
		return do_setxattr(fs, "/A", "system.posix_acl_default", acl, sizeof(acl));
	case NAMELESS:
		return make_nameless(fs, NULL);
	case NAMELESS_LINK:
		return make_nameless(fs, "new");
	case WHITEOUT:
		return rename_whiteout(fs, "moved");
	case WHITEOUT_OVER:
		return rename_whiteout(fs, "foo");
	default:
		return -EINVAL;
	}
}

int world_op(struct world *w, enum op op, char fill)
{
	int r;

	w->in_place |= op >= APPEND && op <= APPEND_MUCH_OTHER;
	r = run(w->fs, op, fill);
	world_step(w, false);
	return r;
}

bool persists_otherwise(enum op op, enum persist how)
{
	switch (how) {
	case PERSIST_FSYNC_IT:
		return strcmp(path_of(op), "/A/foo") != 0 && strcmp(path_of(op), "/A") != 0;
	case PERSIST_FDATASYNC_IT:
		return strcmp(path_of(op), "/A/foo") != 0;
	case PERSIST_FSYNC_ITS_DIR:
		return strcmp(dir_of(op), "/A") != 0 && strcmp(path_of(op), "/B") != 0;
	default:
		return true;
	}
}

void world_persist(struct world *w, enum op op, enum persist how)
{
	switch (how) {
	case PERSIST_FSYNC_FOO:
	case PERSIST_FDATASYNC_FOO:
		world_fsync(w, "/A/foo", how == PERSIST_FDATASYNC_FOO);
		break;
	case PERSIST_FSYNC_DIR:
		world_fsync(w, "/A", false);
		break;
	case PERSIST_SYNC:
		ck_assert_int_eq(fs_sync(w->fs), 0);
		world_step(w, true);
		break;
	case PERSIST_FSYNC_IT:
	case PERSIST_FDATASYNC_IT:
		world_fsync(w, path_of(op), how == PERSIST_FDATASYNC_IT);
		break;
	case PERSIST_FSYNC_ITS_DIR:
		world_fsync(w, dir_of(op), false);
		break;
	default:
		break;
	}
}
