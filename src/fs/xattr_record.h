/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_XATTR_RECORD_H
#define FS_XATTR_RECORD_H

/*
 * Names of extended attributes, and their records on the disk: FORMAT.md section 9.  Pure; for whoever reads or writes
 * records, also fsck and dump.
 */
#include "format.h"

#include <stdbool.h>

/* What a record's prefix stands for; the numbers are the disk's. */
enum xattr_prefix {
	XATTR_USER = 1,
	XATTR_TRUSTED,
	XATTR_SECURITY,
	XATTR_ACL_ACCESS,
	XATTR_ACL_DEFAULT,
};

#define XATTR_NAME_BYTES 255u /* of a whole name */

struct xattr_name {
	enum xattr_prefix prefix;
	unsigned len; /* of rest; 0 for the ACLs */
	const char *rest;
};

/* 0; -EOPNOTSUPP: no namespace of ours; -EINVAL: nothing behind its dot; -ERANGE: too long. */
int xattr_name_parse(const char *name, struct xattr_name *ret);

/* The whole name with its NUL: the bytes of that.  name may be NULL: only they are told. */
size_t xattr_name_print(const struct xattr_name *n, char *name);

bool xattr_name_is(const struct xattr_name *a, const struct xattr_name *b);

struct xattr_record {
	struct xattr_name name; /* rest and value point into the area that was decoded */
	uint32_t value_bytes;
	bool external;
	const uint8_t *value; /* NULL: external */
	uint64_t block;	      /* external: the first of the value's chain */
	unsigned bytes;	      /* of the record */
};

/* The record at the start of left bytes.  0 or -EUCLEAN. */
int xattr_record_decode(const uint8_t *at, unsigned left, struct xattr_record *ret);

/* Fill in bytes, from the name and the value. */
void xattr_record_measure(struct xattr_record *r);

/* Write r->bytes of it. */
void xattr_record_encode(const struct xattr_record *r, uint8_t *at);

#endif
