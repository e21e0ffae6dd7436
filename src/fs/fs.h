/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FS_H
#define FS_FS_H

/*
 * The filesystem, as its front ends see it: mount an engine, then act on inode numbers.
 * No FUSE type, no libaio type.  Every call may be made from any thread, and may wait for the device.
 * Permissions are not checked here; the caller (the kernel) has done that.
 * Names are NUL-terminated and must not be "." or ".." except in fs_lookup().
 *
 * int results are 0 (or a count) or a negative errno.  What any call may return is not told again below:
 * -EIO: the device, or fs_shutdown(); -EUCLEAN: a corrupt image; -ENOMEM; -ENOBUFS: the cache is full of what the device
 * refuses; -ESTALE: no such inode is in use; from what makes changes -EROFS: mounted with read_only, or stopped by an
 * error; and from what is durable when it returns (fs_options.sync, chattr) the error of the commit.
 * From what takes a directory and a name also -ENOTDIR, -ENOENT (the directory is removed, or the name is not there),
 * -ENAMETOOLONG (more than 255 bytes), -EINVAL (a name that cannot be) and, if it changes the directory, -EPERM: chattr.
 *
 * Lookup references: calls that return an fs_attr for a name (lookup, make, link) take
 * one reference on its inode for the caller, which fs_forget() gives back.  An inode whose
 * last name is gone is freed when its last reference goes.  -ENOSPC is not said, nor free space
 * counted, before what others had begun to free is free.
 */
#include <bufio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct fs;

enum fs_atime {
	FS_ATIME_RELATIVE, /* as relatime: the default */
	FS_ATIME_STRICT,
	FS_ATIME_NEVER,
};

/* What follows when the image lies; a log that cannot be written always stops all changes. */
enum fs_errors {
	FS_ERRORS_STOP, /* no further change, as if it were mounted read-only: the default */
	FS_ERRORS_CONTINUE,
	FS_ERRORS_PANIC, /* call panic */
};

struct fs_options {
	bool read_only; /* nothing is written, not even the superblock */
	enum fs_errors errors;
	void (*panic)(void); /* must not return */
	/*
	 * This thread is about to wait, as no engine sees: for room in the cache, for reads that were started, or a read
	 * for an inode that somebody changes, who may wait for them, for another thread's sync, for much that is written;
	 * may be NULL; must not call us.
	 */
	void (*waits)(void);
	size_t cache_bytes; /* of the buffer cache; 64 MiB; at least 1024 blocks are taken */
	enum fs_atime atime;
	bool nodiratime; /* reading a directory never counts */
	/* atimes are stored by syncs and unmount, with the last reference, and once a day, not with each commit */
	bool lazytime;
	bool sync, dirsync; /* an operation is durable when it returns; those on directories */
	/* what is older is durable, or a little older while files are being emptied; 5000; 0: never by itself */
	unsigned commit_ms;
	const char *mounted_at; /* recorded in the superblock; may be NULL */
};

void fs_options_init(struct fs_options *o);

/*
 * Mount.  engine must outlive the fs.  Returns 0; -EMEDIUMTYPE: no bufs filesystem; -EPROTONOSUPPORT:
 * unknown version or incompat feature; -EROFS: needs read_only (unknown ro_compat feature or
 * read-only engine); -EUCLEAN: corrupt; -EFBIG: the device is smaller than the
 * filesystem; -EINVAL: its blocks are smaller than the engine's sectors, or the cache is too large to be one;
 * -ESTALE: errors were recorded or a check was interrupted, run check_fs() first (read-write mounts only);
 * -EAGAIN: no thread can be had.
 *
 * After a crash the log is replayed first; a read-only mount sees what that would give, and
 * writes nothing.
 */
int fs_mount(struct bufio_engine *engine, const struct fs_options *o, struct fs **ret_fs);

/*
 * Write everything, mark clean, free.  All requests have ended; references may remain and are
 * dropped.  The fs is gone also on an error, which is then that of the data lost.
 */
int fs_unmount(struct fs *fs);

/* All that was done before the call is durable.  Returns 0, the error of a write, or that which stopped the filesystem. */
int fs_sync(struct fs *fs);

struct fs_statfs {
	unsigned block_bytes;
	uint64_t blocks, free_blocks,
		usable_blocks; /* usable: but for what is kept for the maps of files */
	uint64_t inodes, free_inodes;
	uint8_t uuid[16];
	char label[64];
	bool read_only;
};

void fs_statfs(struct fs *fs, struct fs_statfs *ret);

/* Durable on 0; -EINVAL: longer than 63 bytes; -EROFS. */
int fs_set_label(struct fs *fs, const char *label);

/*
 * Tell the device which blocks of a range are free, in runs of at least min_bytes: those that are free after a crash,
 * too.  -EINVAL: the range begins past the end, or has no block, or min_bytes is more than a group has;
 * -EOPNOTSUPP: the device has no use for it; -EINTR: interrupted; -EROFS; *ret_bytes is how much was told, also after an
 * error but -EINVAL, -EROFS and that of a shutdown.
 */
struct fs_trim {
	uint64_t start_bytes, size_bytes, min_bytes;
	bool (*interrupted)(void *context); /* now and then: give up?  NULL: no */
	void *context;
};
int fs_trim(struct fs *fs, const struct fs_trim *what, uint64_t *ret_bytes);

/*
 * From now on every call fails with -EIO, and nothing that is not durable becomes so; fs_unmount() still frees, and
 * returns 0.  The next mount finds what a crash at this moment would have left.  Returns 0 or the error of what was to be
 * durable first, and is done all the same.
 */
enum fs_shutdown {
	FS_SHUTDOWN_SYNC, /* fs_sync() first */
	FS_SHUTDOWN_LOG,  /* what changed metadata is durable first */
	FS_SHUTDOWN_NOW,
};
int fs_shutdown(struct fs *fs, enum fs_shutdown how);
struct bufio_client *fs_bufio(struct fs *fs); /* for statistics */

struct fs_attr {
	uint64_t ino;
	uint32_t generation;
	uint32_t mode, nlink, uid, gid;
	uint32_t flags, projid; /* chattr: FS_IOC_GETFLAGS, and the project */
	uint32_t rdev_major, rdev_minor;
	uint64_t size, blocks; /* bytes; 512-byte units */
	struct timespec atime, mtime, ctime, btime;
};

/*
 * "." and ".." work too, for NFS: "." also in what is no directory; -ESTALE if that has no name, and only calls that are under
 * way still have it.  Takes a reference.
 */
int fs_lookup(struct fs *fs, uint64_t dir, const char *name, struct fs_attr *ret_attr);

void fs_forget(struct fs *fs, uint64_t ino, uint64_t nr_references);

/*
 * Around several fs_forget() that came together: fs_statfs(), and a call that finds no space left, wait for all of
 * them once they have begun.  For one alone it is not needed.  The contents of fs_freeing are the filesystem's.
 */
struct fs_freeing {
	uint64_t number;
	struct fs_freeing *next;
};
void fs_forget_begin(struct fs *fs, struct fs_freeing *together);
void fs_forget_end(struct fs *fs, struct fs_freeing *together);

int fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret_attr);

#define FS_SET_MODE	 (1u << 0)
#define FS_SET_UID	 (1u << 1)
#define FS_SET_GID	 (1u << 2)
#define FS_SET_SIZE	 (1u << 3)
#define FS_SET_ATIME	 (1u << 4)
#define FS_SET_MTIME	 (1u << 5)
#define FS_SET_CTIME	 (1u << 6)
#define FS_SET_ATIME_NOW (1u << 7)
#define FS_SET_MTIME_NOW (1u << 8)
/* Privileges go, as Linux has it for a write, truncate or chown by whom it does not trust. */
#define FS_SET_KILL_PRIVS                                                                          \
	(1u << 9) /* S_ISUID, S_ISGID where the group may execute, security.capability */
#define FS_SET_KILL_SGID (1u << 10) /* S_ISGID in any case */
#define FS_SET_COLLECTED (1u << 11) /* as fs_lent.collected */

/*
 * Change what mask names, and with FS_SET_MODE the access ACL.  ctime becomes now unless FS_SET_CTIME.
 * -EINVAL: nanoseconds that are none, or the size of what has none; -EISDIR: the size of a directory; -EFBIG; -EPERM:
 * chattr; -ENOSPC: zeroes at the end of a preallocated or inline file, or an ACL, may need a block.
 */
int fs_setattr(struct fs *fs, uint64_t ino, const struct fs_attr *attr, unsigned mask,
	       struct fs_attr *ret_attr);

/*
 * chattr.  -EOPNOTSUPP: a flag that is not kept; those that mean nothing for this type are left out.  What is
 * immutable or append-only is so from then on for everybody: -EPERM.
 */
int fs_set_flags(struct fs *fs, uint64_t ino, uint32_t flags, uint32_t projid);

/* May it be opened with these O_* flags, as far as that depends on chattr's?  0; -EPERM; -ESTALE. */
int fs_check_open(struct fs *fs, uint64_t ino, int flags);

/* Whether reading changes access times, which it does after a mount: not while the kernel lets nobody write. */
void fs_set_access_times(struct fs *fs, bool on);

/* What to make; the type is in mode. */
struct fs_new {
	uint32_t mode, uid, gid; /* gid and S_ISGID come from a setgid directory; flags from any */
	uint32_t umask;		 /* is cleared from mode, unless the directory has a default ACL */
	uint32_t rdev_major, rdev_minor;
	const char *target; /* S_IFLNK */
};

/*
 * create, mkdir, mknod and symlink.  Takes a reference.  -EEXIST; -EINVAL: no type, or no target; -ENOENT: an empty
 * target; -ENAMETOOLONG: one of more than 4095 bytes; -EMLINK: no further directory in this one; -ENOSPC.
 */
int fs_make(struct fs *fs, uint64_t dir, const char *name, const struct fs_new *what,
	    struct fs_attr *ret_attr);

/*
 * A file without a name.  fs_link() may give it one; else it goes with its last reference, of which this takes one.
 * -EINVAL: not a regular file; -ENOSPC.
 */
int fs_make_nameless(struct fs *fs, uint64_t dir, const struct fs_new *what,
		     struct fs_attr *ret_attr);

/*
 * Takes a reference.  -ENOENT: it lost its last name; -EEXIST; -EPERM: a directory, or chattr; -EXDEV: the directory hands
 * down another project; -EMLINK; -ENOSPC.
 */
int fs_link(struct fs *fs, uint64_t ino, uint64_t dir, const char *name, struct fs_attr *ret_attr);

/* -EISDIR, -ENOTDIR: it is none of that sort; -ENOTEMPTY; -EPERM: chattr. */
int fs_unlink(struct fs *fs, uint64_t dir, const char *name);
int fs_rmdir(struct fs *fs, uint64_t dir, const char *name);

/* What has this name is to have that one. */
struct fs_names {
	uint64_t old_dir;
	const char *old_name;
	uint64_t new_dir;
	const char *new_name;
};

/*
 * flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE, else -EINVAL.  -EEXIST: it is not to be replaced; -EINVAL: a directory
 * into itself; -ENOTEMPTY; -EISDIR, -ENOTDIR: of both one is a directory; -EXDEV: the directory hands down another
 * project; -EPERM: chattr; -EMLINK; -ENOSPC.  Two names of one inode: nothing is done.
 */
int fs_rename(struct fs *fs, const struct fs_names *names, unsigned flags);

/* The same with RENAME_WHITEOUT: under the old name is a character device 0:0 afterwards.  flags: 0 or RENAME_NOREPLACE. */
int fs_rename_whiteout(struct fs *fs, const struct fs_names *names, unsigned flags, uint32_t uid,
		       uint32_t gid);

/* The target without a NUL: its length, -EINVAL if it is no symlink, or -ERANGE if it is longer than size. */
ssize_t fs_readlink(struct fs *fs, uint64_t ino, char *target, size_t size);

/* Bytes read (short only at the end of the file).  data has any alignment.  -EISDIR, -EINVAL: no file. */
ssize_t fs_read(struct fs *fs, uint64_t ino, uint64_t offset, void *data, size_t size);

/*
 * The same without waiting for the device, where the range adjoins there.  The caller fills the first part; the struct and
 * the memory are the library's until the end.
 */
struct fs_reading {
	uint64_t ino, offset;
	void *data;
	size_t size; /* of data, which is aligned as the device wants it, else there are copies */
	/* Called once, with what fs_read() returns, perhaps by a thread that completes I/O: it must not wait. */
	void (*done)(struct fs_reading *reading, ssize_t n);
	/* fs_read_start()'s own */
	struct inode *inode;
	struct iovec iov;
	size_t bytes;
};

/*
 * -EINPROGRESS: done is called, or was already.  Else what fs_read() returns, and done is not called.
 */
ssize_t fs_read_start(struct fs *fs, struct fs_reading *reading);

/*
 * Bytes written: fewer than size only if space ran out after some, or the file is as large as can be.  -EFBIG: it begins
 * there; -ENOSPC; -EISDIR, -EINVAL: no file; -EPERM: chattr.
 */
ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data, size_t size);

/*
 * The same with data that is lent: it may be read still when the call has returned, so that much of it goes to the device
 * without a copy.  A loan has users, at first its owner alone; the last one calls ended, perhaps a thread that
 * completes I/O: it must not wait.
 */
struct fs_loan {
	_Atomic unsigned nr_users; /* 1 at the start */
	void (*ended)(struct fs_loan *loan);
};

struct fs_lent {
	uint64_t ino, offset;
	const void *data; /* aligned as the device wants it, else it is copied */
	size_t size;
	struct fs_loan *loan; /* NULL: it is not lent, and not read after the call */
	bool collected; /* the kernel took it in long since: chattr's flags do not matter, and it sets the times itself */
};

ssize_t fs_write_lent(struct fs *fs, const struct fs_lent *lent);

/* A user, as the owner, does not need the data any more. */
void fs_loan_end(struct fs_loan *loan);

/*
 * Give the bytes [offset, offset + len) their blocks, or take them away.  mode is fallocate(2)'s: 0 or FALLOC_FL_KEEP_SIZE
 * preallocates; FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; FALLOC_FL_ZERO_RANGE with or without
 * FALLOC_FL_KEEP_SIZE.  Else -EOPNOTSUPP.
 *
 * -EINVAL: len is 0; -EFBIG; -EISDIR, -ENODEV: no file; -EPERM: chattr; -ENOSPC: nothing was done, unless others
 * took the space meanwhile.  The size grows when all is done.  A range of many extents is worked on in steps, each of
 * which is atomic over a crash.
 */
int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t offset, uint64_t len);

/*
 * The first byte at or behind offset that is data, or is in a hole; the end of the file counts as a hole.  What was
 * preallocated is none until it is written.  -ENXIO: offset is not in the file, or no data follows; -EISDIR, -EINVAL: no
 * file.
 */
int fs_seek_data(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t *ret_offset);
int fs_seek_hole(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t *ret_offset);

/*
 * Copy bytes from file to file; holes stay holes, also where the target had blocks.  Nobody else makes the target longer or shorter
 * meanwhile.  Returns how many were copied: fewer than size at the end of the source, when space runs out, or to come
 * back for more.  -EINVAL: both are one file's and overlap, or one is no file; -EISDIR; -EFBIG; -ENOSPC; -EPERM: chattr.
 */
struct fs_copy {
	uint64_t from, from_offset; /* inode, byte */
	uint64_t to, to_offset;
	uint64_t size;
};
ssize_t fs_copy_range(struct fs *fs, const struct fs_copy *range);

/*
 * Extended attributes: user., trusted., security., system.posix_acl_access and system.posix_acl_default.  Names have at
 * most 255 bytes (-ERANGE), values 64 KiB (-E2BIG); all names of an inode together, each with its NUL, 64 KiB.
 * -EOPNOTSUPP: no such namespace; -EINVAL: only a namespace.
 *
 * get and list return bytes, with size 0 they only tell how many there are; -ERANGE: more than size; -ENODATA.  An
 * inode without any is answered from memory.
 */
ssize_t fs_getxattr(struct fs *fs, uint64_t ino, const char *name, void *value, size_t size);
ssize_t fs_listxattr(struct fs *fs, uint64_t ino, char *list, size_t size);

/*
 * All or nothing, also over a crash; ctime becomes now.  flags: XATTR_CREATE (-EEXIST) or XATTR_REPLACE (-ENODATA), which
 * do not count for ACLs, and FS_XATTR_KILL_SGID: S_ISGID goes with a new access ACL; else -EINVAL.  -EPERM: user. on what is
 * neither file nor directory, or chattr +i or +a; -ENOSPC, also for more names than 64 KiB.  ACLs have to be good ones
 * (-EINVAL, -E2BIG), default ones are for directories (-EACCES), symlinks have none (-EOPNOTSUPP); the access ACL changes
 * the mode.  To remove what is not there is -ENODATA, but for ACLs.
 */
#define FS_XATTR_KILL_SGID (1u << 16)
struct fs_xattr {
	const char *name;
	const void *value;
	size_t size;
};
int fs_setxattr(struct fs *fs, uint64_t ino, const struct fs_xattr *x, unsigned flags);
int fs_removexattr(struct fs *fs, uint64_t ino, const char *name);

/*
 * List names after cookie (0: from the start).  For each one fill is called with the cookie
 * to go on with; a result other than 0 ends the listing before that name counts as seen.
 * fill must not call the filesystem for this directory, except fs_lookup_child(), and forget nothing.
 */
struct fs_dirent {
	const char *name; /* NUL-terminated */
	uint64_t ino;
	unsigned type;	 /* DT_* */
	uint64_t cookie; /* of the entry after this one */
};
typedef int fs_fill(void *context, const struct fs_dirent *entry);
int fs_readdir(struct fs *fs, uint64_t dir, uint64_t cookie, fs_fill *fill, void *context);

/* Within fill: the attributes of an entry (not of "." and ".."), for readdirplus.  Takes a reference. */
int fs_lookup_child(struct fs *fs, uint64_t ino, struct fs_attr *ret_attr);

/* The file's (directory's) data, metadata and names are durable; with datasync but for times.  0 if mounted with read_only. */
int fs_fsync(struct fs *fs, uint64_t ino, bool datasync);

/* The same without a thread for each that waits for a commit.  The caller fills the first part; the struct is the library's until the end. */
struct fs_syncing {
	uint64_t ino;
	bool datasync;
	/* Called once, with what fs_fsync() returns, perhaps by a thread that commits for others: it must not wait or call the filesystem. */
	void (*done)(struct fs_syncing *syncing, int r);
	/* fs_fsync_start()'s own */
	uint64_t seq;
	struct fs_syncing *next;
};

/*
 * -EINPROGRESS: done is called, or was already.  Else what fs_fsync() returns, and done is not called.  Whoever calls this while nobody
 * commits does so, and stays for those who come meanwhile: it may wait for the device, and call the done of others.
 */
int fs_fsync_start(struct fs *fs, struct fs_syncing *syncing);

#endif
