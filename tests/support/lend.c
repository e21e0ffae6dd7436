/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lend.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 4096u

struct lent {
	struct fs_loan loan;
	char *memory;
	size_t size;
};

static void ended(struct fs_loan *loan)
{
	struct lent *lent = (struct lent *)loan;

	memset(lent->memory, 0xee, lent->size);
	free(lent->memory);
	free(lent);
}

ssize_t lend_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data, size_t size)
{
	size_t skip = offset % ALIGN;
	struct lent *lent = malloc(sizeof(*lent));
	struct fs_lent what = {.ino = ino, .offset = offset, .size = size};
	ssize_t n;

	ck_assert_ptr_nonnull(lent);
	*lent = (struct lent){{1, ended}, NULL, (skip + size + ALIGN) / ALIGN * ALIGN};
	lent->memory = aligned_alloc(ALIGN, lent->size);
	ck_assert_ptr_nonnull(lent->memory);
	memcpy(lent->memory + skip, data, size);
	what.data = lent->memory + skip;
	what.loan = &lent->loan;
	n = fs_write_lent(fs, &what);
	fs_loan_end(&lent->loan);
	return n;
}
