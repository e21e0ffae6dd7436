/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FUSE requests become calls of the core, its results replies.  No decision about the
 * filesystem is made here.
 *
 * No state is kept per open file: OPEN (but with -o strictopen or strictatime) and OPENDIR are answered ENOSYS, after which the
 * kernel asks no more and sends no RELEASE either.  For a file from CREATE it would, so there is no
 * CREATE: the kernel makes the file with MKNOD, which costs the same, and opens it by itself.  What the kernel
 * knows of an inode is its lookup references; a reply that did not arrive (-ENOENT: the
 * request was interrupted) gives them back.
 */
#include "fuse_ioctl.h"
#include "fuse_privs.h"
#include "fuse_raw.h"
#include "fuse_read.h"
#include "fuse_space.h"
#include "fuse_write.h"
#include "fuse_xattr.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void want(struct fuse_conn_info *conn, unsigned flags)
{
	conn->want |= conn->capable & flags;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct front *f = userdata;

	/* ATOMIC_O_TRUNC would leave O_TRUNC to an OPEN that is never sent */
	conn->want &= ~(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
			FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
			   FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
			   FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_PARALLEL_DIROPS |
			   FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
			   FUSE_CAP_IOCTL_DIR);
#ifdef FUSE_CAP_SETXATTR_EXT
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2 | FUSE_CAP_SETXATTR_EXT);
#endif
	if (f->write_back)
		want(conn, FUSE_CAP_WRITEBACK_CACHE);
	if (f->strict_atime)
		conn->want &= ~FUSE_CAP_CACHE_SYMLINKS;
	if (!f->no_xattr)
		want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
	conn->max_write = REQUEST_MAX;
	conn->max_readahead = REQUEST_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
	f->ready(f->ready_context);
}

static void op_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fs_attr a;
	int r = fs_lookup(fs_of(req), dir, name, &a);

	if (r == -ENOENT) {
		struct fuse_entry_param none = {.entry_timeout = FOREVER};

		fuse_reply_entry(req, &none);
		return;
	}
	reply_entry(req, r, &a);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nr)
{
	fs_forget(fs_of(req), ino, nr);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t nr, struct fuse_forget_data *list)
{
	struct fs_freeing together;

	fs_forget_begin(fs_of(req), &together);
	for (size_t i = 0; i < nr; i++)
		fs_forget(fs_of(req), list[i].ino, list[i].nlookup);
	fs_forget_end(fs_of(req), &together);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_attr a;
	int r = fs_getattr(fs_of(req), ino, &a);

	reply_attr(req, r, &a);
}

static unsigned set_mask(int to_set)
{
	static const struct {
		int fuse;
		unsigned fs;
	} map[] = {
		{FUSE_SET_ATTR_MODE, FS_SET_MODE},
		{FUSE_SET_ATTR_UID, FS_SET_UID},
		{FUSE_SET_ATTR_GID, FS_SET_GID},
		{FUSE_SET_ATTR_SIZE, FS_SET_SIZE},
		{FUSE_SET_ATTR_ATIME, FS_SET_ATIME},
		{FUSE_SET_ATTR_MTIME, FS_SET_MTIME},
		{FUSE_SET_ATTR_CTIME, FS_SET_CTIME},
		{FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW},
		{FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW},
	};
	unsigned mask = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (to_set & map[i].fuse)
			mask |= map[i].fs;
	/* the kernel sends ATIME along with ATIME_NOW */
	if (mask & FS_SET_ATIME_NOW)
		mask &= ~FS_SET_ATIME;
	if (mask & FS_SET_MTIME_NOW)
		mask &= ~FS_SET_MTIME;
	return mask;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		       struct fuse_file_info *fi)
{
	struct fs_attr a = {
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = st->st_atim,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
	const struct front *f = fuse_req_userdata(req);
	unsigned mask = set_mask(to_set), kill = 0;
	struct fs_attr now;
	int r = 0;

	/* the times of what the kernel has collected */
	if (f->write_back && mask == (FS_SET_MTIME | FS_SET_CTIME))
		mask |= FS_SET_COLLECTED;

	if (raw_kills_privs())
		r = privs_mask(req, ino, &kill);
	if (r == 0)
		r = fs_setattr(fs_of(req), ino, &a, mask | kill, &now);
	reply_attr(req, r, &now);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t n = fs_readlink(fs_of(req), ino, target, PATH_MAX);

	if (n < 0) {
		reply(req, (int)n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static int make(fuse_req_t req, fuse_ino_t dir, const char *name, struct fs_new *what,
		struct fs_attr *ret_attr)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	what->uid = ctx->uid;
	what->gid = ctx->gid;
	what->umask = ctx->umask;
	return fs_make(fs_of(req), dir, name, what, ret_attr);
}

static void op_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_new what = {.mode = mode, .rdev_major = major(rdev), .rdev_minor = minor(rdev)};
	struct fs_attr a;
	int r = make(req, dir, name, &what, &a);

	reply_entry(req, r, &a);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct fs_new what = {.mode = S_IFDIR | (mode & 07777)};
	struct fs_attr a;
	int r = make(req, dir, name, &what, &a);

	reply_entry(req, r, &a);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
	struct fs_new what = {.mode = S_IFLNK | 0777, .target = target};
	struct fs_attr a;
	int r = make(req, dir, name, &what, &a);

	reply_entry(req, r, &a);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
	struct fs_attr a;
	int r = fs_link(fs_of(req), ino, dir, name, &a);

	reply_entry(req, r, &a);
}

static void op_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	reply(req, fs_unlink(fs_of(req), dir, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	reply(req, fs_rmdir(fs_of(req), dir, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t old_dir, const char *old_name, fuse_ino_t new_dir,
		      const char *new_name, unsigned flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const struct fs_names names = {old_dir, old_name, new_dir, new_name};

	if (flags & RENAME_WHITEOUT)
		reply(req, fs_rename_whiteout(fs_of(req), &names, flags & ~RENAME_WHITEOUT,
					      ctx->uid, ctx->gid));
	else
		reply(req, fs_rename(fs_of(req), &names, flags));
}

/* Kept is nothing: with a reply too, all that RELEASE ends is the kernel's. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct front *f = fuse_req_userdata(req);
	int r = -ENOSYS;

	if (f->strict_open)
		r = fs_check_open(f->fs, ino, fi->flags);
	else if (f->strict_atime)
		r = 0;
	/* what is read from the kernel's cache is no access that we hear of */
	fi->keep_cache = !f->strict_atime;
	if (r < 0)
		reply(req, r);
	else
		fuse_reply_open(req, fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct front *f = fuse_req_userdata(req);

	/* the kernel caches no listing, unless it is told to, or there is no OPENDIR */
	if (f->strict_atime)
		fuse_reply_open(req, fi);
	else
		fuse_reply_err(req, ENOSYS);
}

struct syncing {
	struct fs_syncing head;
	fuse_req_t req;
};

static void sync_done(struct fs_syncing *head, int r)
{
	struct syncing *s = (struct syncing *)head;

	reply(s->req, r);
	free(s);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct syncing *s = malloc(sizeof(*s));
	int r;

	if (!s) {
		reply(req, fs_fsync(fs, ino, datasync != 0));
		return;
	}
	s->head = (struct fs_syncing){.ino = ino, .datasync = datasync != 0, .done = sync_done};
	s->req = req;
	r = fs_fsync_start(fs, &s->head);
	if (r != -EINPROGRESS)
		sync_done(&s->head, r);
}

/* A listing in the making: the reply's buffer, filled until an entry does not fit. */
struct listing {
	fuse_req_t req;
	char *data;
	size_t size, used;
	bool plus;
	int error;
};

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static int fill_plain(struct listing *l, const struct fs_dirent *d)
{
	struct stat st = {.st_ino = d->ino, .st_mode = DTTOIF(d->type)};
	size_t n = fuse_add_direntry(l->req, l->data + l->used, l->size - l->used, d->name, &st,
				     (off_t)d->cookie);

	if (n > l->size - l->used)
		return 1;
	l->used += n;
	return 0;
}

/* The kernel takes a reference for each entry but "." and ".."; so only for those that fit. */
static int fill_plus(struct listing *l, const struct fs_dirent *d)
{
	struct fuse_entry_param e = {.attr = {.st_ino = d->ino, .st_mode = DTTOIF(d->type)}};
	size_t left = l->size - l->used;
	struct fs_attr a;
	int r;

	if (fuse_add_direntry_plus(l->req, NULL, 0, d->name, NULL, 0) > left)
		return 1;
	if (!is_dot(d->name)) {
		r = fs_lookup_child(fs_of(l->req), d->ino, &a);
		if (r < 0) {
			l->error = r;
			return 1;
		}
		entry_of(&a, &e);
	}
	l->used += fuse_add_direntry_plus(l->req, l->data + l->used, left, d->name, &e,
					  (off_t)d->cookie);
	return 0;
}

static int fill(void *context, const struct fs_dirent *d)
{
	struct listing *l = context;

	return l->plus ? fill_plus(l, d) : fill_plain(l, d);
}

static void list(fuse_req_t req, fuse_ino_t dir, size_t size, off_t cookie, bool plus)
{
	struct listing l = {.req = req, .size = size, .plus = plus};
	int r;

	l.data = reply_buffer(size);
	if (!l.data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = fs_readdir(fs_of(req), dir, (uint64_t)cookie, fill, &l);
	if (l.error < 0)
		r = l.error;
	/* what is in the buffer holds references: it must go out; the error comes again */
	if (r < 0 && l.used == 0)
		reply(req, r);
	else
		fuse_reply_buf(req, l.data, l.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t dir, size_t size, off_t cookie,
		       struct fuse_file_info *fi)
{
	list(req, dir, size, cookie, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t dir, size_t size, off_t cookie,
			   struct fuse_file_info *fi)
{
	list(req, dir, size, cookie, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_statfs s;
	struct statvfs v = {.f_namemax = 255};

	fs_statfs(fs_of(req), &s);
	v.f_bsize = s.block_bytes;
	v.f_frsize = s.block_bytes;
	v.f_blocks = s.blocks;
	v.f_bfree = s.free_blocks;
	v.f_bavail = s.usable_blocks;
	v.f_files = s.inodes;
	v.f_ffree = s.free_inodes;
	v.f_favail = s.free_inodes;
	fuse_reply_statfs(req, &v);
}

/*
 * create, flush, release, access and locks are absent: libfuse
 * answers ENOSYS once, and the kernel does without or does it by itself.
 */
const struct fuse_lowlevel_ops front_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.open = op_open,
	.opendir = op_opendir,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsync,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.ioctl = op_ioctl,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
};
