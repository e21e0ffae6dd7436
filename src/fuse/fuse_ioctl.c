/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioctls.  chattr's come from the kernel, not from the program: it has checked that the caller owns the inode, and has
 * CAP_LINUX_IMMUTABLE where that is needed, before it sends the new flags.
 */
#include "fuse_ioctl.h"

#include "fuse_reply.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

struct call {
	struct front *front;
	fuse_req_t req;
	fuse_ino_t ino;
	const void *in; /* as much as the command says */
	union {
		uint32_t number;
		struct fsxattr xattr;
	} out;
};

/* Flags that have a name in fsx_xflags too. */
static const struct {
	uint32_t flag, xflag;
} xflag_of[] = {
	{FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE}, {FS_APPEND_FL, FS_XFLAG_APPEND},
	{FS_SYNC_FL, FS_XFLAG_SYNC},	       {FS_NOATIME_FL, FS_XFLAG_NOATIME},
	{FS_NODUMP_FL, FS_XFLAG_NODUMP},       {FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT},
};
#define NR_XFLAGS (sizeof(xflag_of) / sizeof(xflag_of[0]))

/* These return the bytes of out, or a negative errno. */

static int get_flags(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	c->out.number = a.flags;
	return r < 0 ? r : (int)sizeof(c->out.number);
}

/* ctime has changed, and the kernel does not expect it. */
static int set_both(struct call *c, uint32_t flags, uint32_t projid)
{
	int r = fs_set_flags(c->front->fs, c->ino, flags, projid);

	if (r == 0)
		fuse_lowlevel_notify_inval_inode(c->front->se, c->ino, -1, 0);
	return r;
}

static int set_flags(struct call *c)
{
	struct fs_attr a;
	uint32_t flags;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	memcpy(&flags, c->in, sizeof(flags));
	return r < 0 ? r : set_both(c, flags, a.projid);
}

static int get_xattr(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	if (r < 0)
		return r;
	c->out.xattr = (struct fsxattr){.fsx_projid = a.projid};
	for (size_t i = 0; i < NR_XFLAGS; i++)
		if (a.flags & xflag_of[i].flag)
			c->out.xattr.fsx_xflags |= xflag_of[i].xflag;
	return sizeof(c->out.xattr);
}

static int set_xattr(struct call *c)
{
	struct fsxattr x;
	struct fs_attr a;
	uint32_t flags;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	if (r < 0)
		return r;
	memcpy(&x, c->in, sizeof(x));
	flags = a.flags & FS_DIRSYNC_FL;
	for (size_t i = 0; i < NR_XFLAGS; i++) {
		if (x.fsx_xflags & xflag_of[i].xflag)
			flags |= xflag_of[i].flag;
		x.fsx_xflags &= ~xflag_of[i].xflag;
	}
	if (x.fsx_xflags || x.fsx_extsize || x.fsx_cowextsize)
		return -EOPNOTSUPP;
	return set_both(c, flags, x.fsx_projid);
}

/* Programs give an int for what is declared a long, so more must not be copied to them. */
static int get_version(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	c->out.number = a.generation;
	return r < 0 ? r : (int)sizeof(c->out.number);
}

static const struct {
	unsigned cmd;
	size_t in_bytes;
	int (*run)(struct call *c);
} calls[] = {
	{FS_IOC_GETFLAGS, 0, get_flags},     {FS_IOC_SETFLAGS, sizeof(uint32_t), set_flags},
	{FS_IOC_FSGETXATTR, 0, get_xattr},   {FS_IOC_FSSETXATTR, sizeof(struct fsxattr), set_xattr},
	{FS_IOC_GETVERSION, 0, get_version},
};

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_bytes, size_t out_bytes)
{
	struct call c = {.front = fuse_req_userdata(req), .req = req, .ino = ino, .in = in};
	int r = -ENOTTY;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].cmd == cmd)
			r = in_bytes < calls[i].in_bytes ? -EINVAL : calls[i].run(&c);
	if (r < 0)
		reply(req, r);
	else if ((size_t)r > out_bytes)
		reply(req, -EINVAL);
	else
		fuse_reply_ioctl(req, 0, &c.out, (size_t)r);
}
