/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xattr_fixture.h"

uint8_t value[XATTR_VALUE_MAX + 1], back[XATTR_VALUE_MAX + 1];

void fill(unsigned size, uint8_t seed)
{
	for (unsigned n = 0; n < size; n++)
		value[n] = (uint8_t)(n * 7 + n / 256 + seed);
}

void expect(struct image *i, uint64_t ino, const char *name, unsigned size, uint8_t seed)
{
	fill(size, seed);
	ck_assert_int_eq(fs_getxattr(i->fs, ino, name, NULL, 0), (int)size);
	ck_assert_int_eq(fs_getxattr(i->fs, ino, name, back, sizeof(back)), (int)size);
	if (size)
		ck_assert_mem_eq(back, value, size);
}

void check_after_remount(struct image *i)
{
	image_unmount(i);
	image_check(i);
	image_mount(i);
}
