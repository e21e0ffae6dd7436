/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_raw.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* libfuse would answer ENOSYS, which the kernel takes for success, and never asks again */
#define OPCODE_SYNCFS 50u

/* Of the request that the thread is working on: libfuse drops it. */
static _Thread_local bool kills_privs;

bool raw_kills_privs(void)
{
	return kills_privs;
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
	return fs_setxattr(f->fs, in->nodeid, name, name + len + 1, x->size, flags);
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
	default:
		return false;
	}
}
