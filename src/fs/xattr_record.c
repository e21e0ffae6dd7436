/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See xattr_record.h.  Calls nothing. */
#include "xattr_record.h"

#include <errno.h>
#include <string.h>

static const char *const prefixes[] = {
	[XATTR_USER] = "user.",
	[XATTR_TRUSTED] = "trusted.",
	[XATTR_SECURITY] = "security.",
	[XATTR_ACL_ACCESS] = "system.posix_acl_access",
	[XATTR_ACL_DEFAULT] = "system.posix_acl_default",
};

static bool has_rest(enum xattr_prefix prefix)
{
	return prefix <= XATTR_SECURITY;
}

int xattr_name_parse(const char *name, struct xattr_name *ret)
{
	size_t len = strlen(name);

	if (len > XATTR_NAME_BYTES)
		return -ERANGE;
	for (unsigned p = XATTR_USER; p <= XATTR_ACL_DEFAULT; p++) {
		size_t n = strlen(prefixes[p]);

		if (strncmp(name, prefixes[p], n) != 0 || (!has_rest(p) && len > n))
			continue;
		if (has_rest(p) && len == n)
			return -EINVAL;
		*ret = (struct xattr_name){p, (unsigned)(len - n), name + n};
		return 0;
	}
	return -EOPNOTSUPP;
}

size_t xattr_name_print(const struct xattr_name *n, char *name)
{
	size_t len = strlen(prefixes[n->prefix]);

	if (name) {
		memcpy(name, prefixes[n->prefix], len);
		memcpy(name + len, n->rest, n->len);
		name[len + n->len] = '\0';
	}
	return len + n->len + 1;
}

bool xattr_name_is(const struct xattr_name *a, const struct xattr_name *b)
{
	return a->prefix == b->prefix && a->len == b->len && !memcmp(a->rest, b->rest, a->len);
}

static unsigned padded(unsigned bytes)
{
	return (bytes + 3) & ~3u;
}

static unsigned head_bytes(unsigned name_len)
{
	return padded((unsigned)sizeof(struct disk_xattr) + name_len);
}

static bool head_is_good(const struct disk_xattr *x)
{
	return x->prefix >= XATTR_USER && x->prefix <= XATTR_ACL_DEFAULT &&
	       has_rest(x->prefix) == (x->name_len > 0) &&
	       !(le16_get(x->flags) & ~XATTR_EXTERNAL) &&
	       le32_get(x->value_bytes) <= XATTR_VALUE_MAX && !memchr(x + 1, 0, x->name_len);
}

int xattr_record_decode(const uint8_t *at, unsigned left, struct xattr_record *ret)
{
	const struct disk_xattr *x = (const struct disk_xattr *)at;
	struct xattr_record r;
	le64 first;

	if (left < sizeof(*x) || left < sizeof(*x) + x->name_len || !head_is_good(x))
		return -EUCLEAN;
	r = (struct xattr_record){
		.name = {x->prefix, x->name_len, (const char *)(x + 1)},
		.value_bytes = le32_get(x->value_bytes),
		.external = le16_get(x->flags) & XATTR_EXTERNAL,
	};
	xattr_record_measure(&r);
	if (r.bytes > left)
		return -EUCLEAN;
	if (r.external) {
		memcpy(&first, at + head_bytes(x->name_len), sizeof(first));
		r.block = le64_get(first);
	} else {
		r.value = at + head_bytes(x->name_len);
	}
	*ret = r;
	return 0;
}

void xattr_record_measure(struct xattr_record *r)
{
	r->bytes = head_bytes(r->name.len) +
		   (r->external ? (unsigned)sizeof(le64) : padded(r->value_bytes));
}

void xattr_record_encode(const struct xattr_record *r, uint8_t *at)
{
	struct disk_xattr *x = (struct disk_xattr *)at;
	le64 first = le64_make(r->block);

	memset(at, 0, r->bytes);
	*x = (struct disk_xattr){
		.prefix = (uint8_t)r->name.prefix,
		.name_len = (uint8_t)r->name.len,
		.flags = le16_make(r->external ? XATTR_EXTERNAL : 0),
		.value_bytes = le32_make(r->value_bytes),
	};
	memcpy(x + 1, r->name.rest, r->name.len);
	at += head_bytes(r->name.len);
	if (r->external)
		memcpy(at, &first, sizeof(first));
	else if (r->value_bytes)
		memcpy(at, r->value, r->value_bytes);
}
