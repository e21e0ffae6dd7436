/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_raw.h"

#include "fuse_reply.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* libfuse would answer ENOSYS, which the kernel takes for success, and never asks again */
#define OPCODE_SYNCFS  50u
#define OPCODE_TMPFILE 51u
#define OPCODE_STATX   52u

/* Of protocol 7.39, which the headers may not have yet */

struct raw_time {
	int64_t sec;
	uint32_t nsec, reserved;
};

struct raw_statx {
	uint32_t mask, block_bytes;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, reserved;
	uint64_t ino, size, blocks, attributes_mask;
	struct raw_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare[14];
};

struct raw_statx_out {
	uint64_t valid;
	uint32_t valid_nsec, flags;
	uint64_t spare[2];
	struct raw_statx stat;
};

static_assert(sizeof(struct raw_statx_out) == 288, "as the kernel has it");

/* Of the request that the thread is working on: libfuse drops it. */
static _Thread_local bool kills_privs;

bool raw_kills_privs(void)
{
	return kills_privs;
}

/* -errno if it is not taken: the request was interrupted, or the mount is gone. */
static int answer(int fd, uint64_t unique, const void *body, size_t size)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + size), .unique = unique};
	struct iovec iov[] = {{&out, sizeof(out)}, {(void *)body, size}};

	return writev(fd, iov, 2) < 0 ? -errno : 0;
}

void raw_answer(int fd, uint64_t unique, int r)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = r, .unique = unique};
	/* fails only when the request or the mount is gone */
	ssize_t n = write(fd, &out, sizeof(out));

	(void)n;
}

static bool asks_to_kill(const struct fuse_in_header *in)
{
	const void *body = in + 1;

	if (in->opcode == FUSE_WRITE)
		return ((const struct fuse_write_in *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID;
	return in->opcode == FUSE_SETATTR &&
	       ((const struct fuse_setattr_in *)body)->valid & FATTR_KILL_SUIDGID;
}

/* With FUSE_SETXATTR_EXT its head is longer than libfuse thinks. */
static int setxattr(struct front *f, const struct fuse_in_header *in)
{
	const struct fuse_setxattr_in *x = (const struct fuse_setxattr_in *)(in + 1);
	const char *name = (const char *)(x + 1);
	unsigned flags = x->flags;
	size_t left, len;

	if (f->no_xattr)
		return -ENOSYS;
	if (in->len < sizeof(*in) + sizeof(*x))
		return -EINVAL;
	left = in->len - sizeof(*in) - sizeof(*x);
	len = strnlen(name, left);
	if (len == left || x->size != left - len - 1)
		return -EINVAL;
	if (x->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		flags |= FS_XATTR_KILL_SGID;
	return fs_setxattr(f->fs, in->nodeid, &(struct fs_xattr){name, name + len + 1, x->size},
			   flags);
}

static void attr_of(const struct fs_attr *a, struct fuse_attr *ret)
{
	struct stat st;

	stat_of(a, &st);
	*ret = (struct fuse_attr){
		.ino = a->ino,
		.size = a->size,
		.blocks = a->blocks,
		.atime = (uint64_t)a->atime.tv_sec,
		.mtime = (uint64_t)a->mtime.tv_sec,
		.ctime = (uint64_t)a->ctime.tv_sec,
		.atimensec = (uint32_t)a->atime.tv_nsec,
		.mtimensec = (uint32_t)a->mtime.tv_nsec,
		.ctimensec = (uint32_t)a->ctime.tv_nsec,
		.mode = a->mode,
		.nlink = a->nlink,
		.uid = a->uid,
		.gid = a->gid,
		.rdev = (uint32_t)st.st_rdev,
		.blksize = (uint32_t)st.st_blksize,
	};
}

static void do_tmpfile(struct front *f, int fd, const struct fuse_in_header *in)
{
	const struct fuse_create_in *create = (const struct fuse_create_in *)(in + 1);
	struct fs_new what = {.uid = in->uid, .gid = in->gid};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {.open = {.open_flags = FOPEN_KEEP_CACHE}};
	struct fs_attr a;
	int r;

	r = -EINVAL;
	if (in->len >= sizeof(*in) + sizeof(*create)) {
		what.mode = S_IFREG | (create->mode & 07777);
		what.umask = create->umask;
		r = fs_make_nameless(f->fs, in->nodeid, &what, &a);
	}
	if (r < 0) {
		raw_answer(fd, in->unique, r);
		return;
	}
	out.entry.nodeid = a.ino;
	out.entry.generation = a.generation;
	out.entry.entry_valid = out.entry.attr_valid = (uint64_t)FOREVER;
	attr_of(&a, &out.entry.attr);
	if (answer(fd, in->unique, &out, sizeof(out)) < 0)
		fs_forget(f->fs, a.ino, 1);
}

static struct raw_time raw_time(struct timespec t)
{
	return (struct raw_time){.sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec};
}

static void statx_of(const struct fs_attr *a, struct raw_statx *ret)
{
	*ret = (struct raw_statx){
		.mask = STATX_BASIC_STATS | STATX_BTIME,
		.block_bytes = 4096,
		.nlink = a->nlink,
		.uid = a->uid,
		.gid = a->gid,
		.mode = (uint16_t)a->mode,
		.ino = a->ino,
		.size = a->size,
		.blocks = a->blocks,
		.atime = raw_time(a->atime),
		.btime = raw_time(a->btime),
		.ctime = raw_time(a->ctime),
		.mtime = raw_time(a->mtime),
		.rdev_major = a->rdev_major,
		.rdev_minor = a->rdev_minor,
	};
}

/* Comes for the birth time only; all else is GETATTR. */
static void do_statx(struct front *f, int fd, const struct fuse_in_header *in)
{
	struct raw_statx_out out = {.valid = (uint64_t)FOREVER};
	struct fs_attr a;
	int r = fs_getattr(f->fs, in->nodeid, &a);

	if (r < 0) {
		raw_answer(fd, in->unique, r);
		return;
	}
	statx_of(&a, &out.stat);
	answer(fd, in->unique, &out, sizeof(out));
}

bool raw_request(struct front *f, int fd, const struct fuse_in_header *in)
{
	kills_privs = asks_to_kill(in);
	switch (in->opcode) {
	case FUSE_SETXATTR:
		if (!(f->added & FUSE_SETXATTR_EXT))
			return false;
		raw_answer(fd, in->unique, setxattr(f, in));
		return true;
	case OPCODE_SYNCFS:
		raw_answer(fd, in->unique, fs_sync(f->fs));
		return true;
	case OPCODE_TMPFILE:
		do_tmpfile(f, fd, in);
		return true;
	case OPCODE_STATX:
		do_statx(f, fd, in);
		return true;
	default:
		return false;
	}
}
