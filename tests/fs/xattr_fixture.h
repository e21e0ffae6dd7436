/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_XATTR_FIXTURE_H
#define TEST_XATTR_FIXTURE_H

/* Values of extended attributes that a size and a seed tell. */
#include "image.h"
#include "xattr.h"

extern uint8_t value[XATTR_VALUE_MAX + 1], back[XATTR_VALUE_MAX + 1];

void fill(unsigned size, uint8_t seed); /* value */

/* The attribute is this one; back has it then. */
void expect(struct image *i, uint64_t ino, const char *name, unsigned size, uint8_t seed);

void check_after_remount(struct image *i);

#endif
