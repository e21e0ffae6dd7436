/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See acl.h.  The rules are those of POSIX 1003.1e draft 17, as Linux has them.  Calls xattr_store. */
#include "acl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The ACL in memory is the attribute's value. */
struct acl {
	struct disk_acl_entry *entries;
	unsigned nr;
};

static const struct xattr_name access_name = {XATTR_ACL_ACCESS, 0, ""};
static const struct xattr_name default_name = {XATTR_ACL_DEFAULT, 0, ""};

/* How the entries follow each other. */
static int next_state(unsigned state, unsigned tag)
{
	switch (tag) {
	case ACL_USER_OBJ:
		return state == 0 ? ACL_USER : -EINVAL;
	case ACL_USER:
		return state == ACL_USER ? ACL_USER : -EINVAL;
	case ACL_GROUP_OBJ:
		return state == ACL_USER ? ACL_GROUP : -EINVAL;
	case ACL_GROUP:
		return state == ACL_GROUP ? ACL_GROUP : -EINVAL;
	case ACL_MASK:
		return state == ACL_GROUP ? ACL_OTHER : -EINVAL;
	case ACL_OTHER:
		return state == ACL_GROUP || state == ACL_OTHER ? ACL_TAGS : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int check_entries(const struct acl *a)
{
	bool named = false, masked = false;
	int state = 0;

	for (unsigned i = 0; i < a->nr; i++) {
		unsigned tag = le16_get(a->entries[i].tag);

		state = next_state((unsigned)state, tag);
		if (state < 0 || le16_get(a->entries[i].perm) > 7)
			return -EINVAL;
		named |= tag == ACL_USER || tag == ACL_GROUP;
		masked |= tag == ACL_MASK;
	}
	return state == ACL_TAGS && (masked || !named) ? 0 : -EINVAL;
}

/* The ACL in a value, or -EINVAL; one without entries is good. */
static int acl_open(uint8_t *bytes, size_t size, struct acl *ret)
{
	struct disk_acl *d = (struct disk_acl *)bytes;

	if (size < sizeof(*d) || le32_get(d->version) != ACL_VERSION ||
	    (size - sizeof(*d)) % sizeof(struct disk_acl_entry))
		return -EINVAL;
	ret->entries = (struct disk_acl_entry *)(d + 1);
	ret->nr = (unsigned)((size - sizeof(*d)) / sizeof(struct disk_acl_entry));
	return ret->nr ? check_entries(ret) : 0;
}

bool acl_is_valid(const void *value, size_t size)
{
	uint8_t bytes[ACL_MAX_BYTES];
	struct acl a;

	if (size > sizeof(bytes))
		return false;
	memcpy(bytes, value, size);
	return acl_open(bytes, size, &a) == 0 && a.nr;
}

/* Which bits of the mode an entry is about: their place, or -1. */
static int mode_shift(const struct acl *a, unsigned i)
{
	bool masked = le16_get(a->entries[a->nr - 2].tag) == ACL_MASK;

	switch (le16_get(a->entries[i].tag)) {
	case ACL_USER_OBJ:
		return 6;
	case ACL_GROUP_OBJ:
		return masked ? -1 : 3;
	case ACL_MASK:
		return 3;
	case ACL_OTHER:
		return 0;
	default:
		return -1;
	}
}

/* Does it say more than a mode can? */
static bool is_extended(const struct acl *a)
{
	return a->nr > 3;
}

/* The permissions of a mode that it stands for. */
static uint32_t acl_mode(const struct acl *a)
{
	uint32_t mode = 0;

	for (unsigned i = 0; i < a->nr; i++) {
		int shift = mode_shift(a, i);

		if (shift >= 0)
			mode |= (uint32_t)le16_get(a->entries[i].perm) << shift;
	}
	return mode;
}

/* Each entry with bits in the mode gets these; with narrow only what it had of them. */
static void take_mode(struct acl *a, uint32_t mode, bool narrow)
{
	for (unsigned i = 0; i < a->nr; i++) {
		int shift = mode_shift(a, i);
		unsigned perm;

		if (shift < 0)
			continue;
		perm = mode >> shift & 7;
		if (narrow)
			perm &= le16_get(a->entries[i].perm);
		a->entries[i].perm = le16_make((uint16_t)perm);
	}
}

/* An ACL of the inode into value.  -ENODATA; -EUCLEAN: it is none. */
static int load(struct inode *inode, const struct xattr_name *name, struct acl_value *value,
		struct acl *ret)
{
	ssize_t n = xattr_get(inode, name, value->bytes, sizeof(value->bytes));

	if (n < 0)
		return n == -ERANGE ? -EUCLEAN : (int)n;
	value->size = (uint32_t)n;
	if (acl_open(value->bytes, value->size, ret) < 0 || !ret->nr)
		return -EUCLEAN;
	return 0;
}

static int store(struct txn *t, struct inode *inode, const struct xattr_name *name,
		 const struct acl_value *value)
{
	const struct xattr_value v = {value->bytes, value->size};

	return xattr_change(t, inode, name, &v, 0);
}

/* It is fine if there is none. */
static int drop(struct txn *t, struct inode *inode, const struct xattr_name *name)
{
	int r = xattr_change(t, inode, name, NULL, 0);

	if (r != -ENODATA)
		return r;
	inode->ctime = fs_now();
	return inode_store(t, inode);
}

static int set_access(struct txn *t, struct inode *inode, const struct acl *a,
		      const struct acl_value *value, bool kill_sgid)
{
	uint32_t before = inode->mode;
	int r;

	if (a->nr)
		inode->mode = (inode->mode & ~0777u) | acl_mode(a);
	if (kill_sgid)
		inode->mode &= ~(uint32_t)S_ISGID;
	r = is_extended(a) ? store(t, inode, &access_name, value) : drop(t, inode, &access_name);
	if (r < 0)
		inode->mode = before;
	return r;
}

int acl_set(struct txn *t, struct inode *inode, const struct xattr_name *name,
	    const struct xattr_value *value, bool kill_sgid)
{
	struct acl_value copy = {.size = value->size};
	struct acl a;
	int r;

	if (S_ISLNK(inode->mode))
		return -EOPNOTSUPP;
	if (value->size > sizeof(copy.bytes))
		return -E2BIG;
	memcpy(copy.bytes, value->bytes, value->size);
	r = acl_open(copy.bytes, copy.size, &a);
	if (r < 0)
		return r;
	if (name->prefix == XATTR_ACL_ACCESS)
		return set_access(t, inode, &a, &copy, kill_sgid);
	if (!S_ISDIR(inode->mode))
		return a.nr ? -EACCES : 0;
	return a.nr ? store(t, inode, name, &copy) : drop(t, inode, name);
}

int acl_chmod(struct txn *t, struct inode *inode, uint32_t mode)
{
	struct acl_value value;
	struct acl a;
	int r;

	if (!xattr_any(inode) || S_ISLNK(inode->mode))
		return 0;
	r = load(inode, &access_name, &value, &a);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	take_mode(&a, mode, false);
	return store(t, inode, &access_name, &value);
}

int acl_inherit(struct inode *dir, struct fs_new *new, struct acl_inherited *ret)
{
	struct acl a;
	int r;

	ret->access.size = ret->of_dir.size = 0;
	if (S_ISLNK(new->mode))
		return 0;
	r = load(dir, &default_name, &ret->of_dir, &a);
	if (r == -ENODATA) {
		new->mode &= ~(new->umask & 0777u);
		return 0;
	}
	if (r < 0)
		return r;
	memcpy(&ret->access, &ret->of_dir, sizeof(ret->access));
	if (!S_ISDIR(new->mode))
		ret->of_dir.size = 0;
	r = acl_open(ret->access.bytes, ret->access.size, &a);
	take_mode(&a, new->mode, true);
	new->mode = (new->mode & ~0777u) | acl_mode(&a);
	if (!is_extended(&a))
		ret->access.size = 0;
	return r;
}

int acl_give(struct txn *t, struct inode *child, const struct acl_inherited *acls)
{
	int r = 0;

	if (acls->access.size)
		r = store(t, child, &access_name, &acls->access);
	if (r == 0 && acls->of_dir.size)
		r = store(t, child, &default_name, &acls->of_dir);
	return r;
}
