/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_ACL_H
#define FS_ACL_H

/*
 * POSIX ACLs: what they mean to the mode, and how a directory hands them down.  They are kept as attributes, in the
 * form that getxattr(2) has (FORMAT.md section 9).  Who may do what is the kernel's affair.
 *
 * The caller holds the locks of the inodes, exclusively where something changes.
 */
#include "xattr.h"

#define ACL_MAX_BYTES 4096u /* the kernel takes no larger ones */

/* Is this the value of an ACL, with entries? */
bool acl_is_valid(const void *value, size_t size);

/*
 * Set the ACL that name says, and what the access ACL makes of the mode; one that says no more than the mode is
 * not kept, nor is one without entries.  kill_sgid: S_ISGID goes too.  Like xattr_change(), and -EINVAL: it is none;
 * -EOPNOTSUPP: a symlink; -EACCES: a default ACL for what is no directory; -E2BIG.
 */
int acl_set(struct txn *t, struct inode *inode, const struct xattr_name *name,
	    const struct xattr_value *value, bool kill_sgid);

/* The permissions in mode are about to become the inode's: its access ACL, if it has one, follows.  As xattr_change(). */
int acl_chmod(struct txn *t, struct inode *inode, uint32_t mode);

struct acl_value {
	uint32_t size; /* 0: none */
	uint8_t bytes[ACL_MAX_BYTES];
};

struct acl_inherited {
	struct acl_value access, of_dir;
};

/*
 * What something new in dir gets: *ret, and what is left of new->mode; without a default ACL that is up to the umask.
 * 0, -EUCLEAN, -EIO.
 */
int acl_inherit(struct inode *dir, struct fs_new *new, struct acl_inherited *ret);

/* Give it to the new inode.  Reserved blocks it may take, and errors: as for two xattr_change(). */
int acl_give(struct txn *t, struct inode *child, const struct acl_inherited *acls);

#endif
