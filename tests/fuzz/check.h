/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUZZ_CHECK_H
#define FUZZ_CHECK_H

/* craft.c without Check, whose assertions only work within its runner. */
#include <stdlib.h>

#define ck_assert(x)		  ((x) ? (void)0 : abort())
#define ck_assert_int_eq(a, b)	  ck_assert((a) == (b))
#define ck_assert_uint_eq(a, b)	  ck_assert((a) == (b))
#define ck_assert_uint_le(a, b)	  ck_assert((a) <= (b))
#define ck_assert_uint_lt(a, b)	  ck_assert((a) < (b))
#define ck_assert_ptr_nonnull(p)  ck_assert((p) != NULL)
#define ck_assert_mem_eq(a, b, n) ck_assert(memcmp(a, b, n) == 0)

#endif
