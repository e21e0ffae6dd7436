/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extended attributes.  The kernel has checked who may read and change which; only the names that a caller may not
 * know are left out of a listing here.  It has made ACLs that a program sets what system.posix_acl_* holds.
 */
#include "fuse_xattr.h"

#include "fuse_privs.h"
#include "fuse_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 65536u /* of a value, and of a listing */

/* Mounted without: the kernel does not ask again. */
static bool absent(fuse_req_t req)
{
	const struct front *f = fuse_req_userdata(req);

	if (f->no_xattr)
		fuse_reply_err(req, ENOSYS);
	return f->no_xattr;
}

/* size 0: only the length was asked for. */
static void reply_bytes(fuse_req_t req, ssize_t n, const void *data, size_t size)
{
	if (n < 0)
		reply(req, (int)n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else if ((size_t)n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, (size_t)n);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *value = NULL;
	ssize_t n;

	if (absent(req))
		return;
	n = fs_getxattr(fs_of(req), ino, name, NULL, 0);
	if (n > 0 && size) {
		if (size > VALUE_MAX)
			size = VALUE_MAX;
		value = malloc(size);
		n = value ? fs_getxattr(fs_of(req), ino, name, value, size) : -ENOMEM;
	}
	reply_bytes(req, n, value, size);
	free(value);
}

/* Take the names out that only an administrator may know; the bytes left. */
static ssize_t without_trusted(fuse_req_t req, char *list, ssize_t n)
{
	char *to = list, *end = list + n;
	int admin = -1;

	for (char *from = list; from < end;) {
		size_t bytes = strlen(from) + 1;
		bool trusted = !strncmp(from, "trusted.", 8);

		if (trusted && admin < 0)
			admin = caller_has(req, CAP_SYS_ADMIN);
		if (!trusted || admin > 0) {
			memmove(to, from, bytes);
			to += bytes;
		}
		from += bytes;
	}
	return to - list;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *list = NULL;
	ssize_t n;

	if (absent(req))
		return;
	n = fs_listxattr(fs_of(req), ino, NULL, 0);
	if (n > 0) {
		list = malloc(VALUE_MAX);
		n = list ? fs_listxattr(fs_of(req), ino, list, VALUE_MAX) : -ENOMEM;
		if (n > 0)
			n = without_trusted(req, list, n);
	}
	reply_bytes(req, n, list, size);
	free(list);
}

/* From a kernel that does not say more; else it is raw_setxattr() that answers. */
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	if (!absent(req))
		reply(req, fs_setxattr(fs_of(req), ino, &(struct fs_xattr){name, value, size},
				       (unsigned)flags));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (!absent(req))
		reply(req, fs_removexattr(fs_of(req), ino, name));
}
