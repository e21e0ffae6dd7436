/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FSCK_H
#define FS_FSCK_H

/*
 * Check a filesystem that is not mounted, and repair it.  The library behind fsck.bufs, the mount of an
 * unclean image, and the tests.  Trusts no byte of the image.
 *
 * The file is not called check.h, because libcheck's header is.
 */
#include "fs.h"

enum check_mode {
	CHECK_REPORT, /* change nothing */
	CHECK_PREEN,  /* repair what is safe: nothing that has a name or data is lost; else stop */
	CHECK_REPAIR, /* repair everything */
};

struct check_problem {
	const char *code; /* a stable word: "block-bitmap-leak", "bad-inode-crc"... */
	bool repaired;
	uint64_t ino, block; /* 0: does not apply */
	const char *text;    /* one line, no newline; as long as the hook runs */
};

enum check_super {
	CHECK_SUPER_BEST,  /* the valid one with the higher seq */
	CHECK_SUPER_FIRST, /* block 0 */
	CHECK_SUPER_COPY,
};

struct check_options {
	enum check_mode mode;
	enum check_super super;
	size_t cache_bytes;					       /* 0: 64 MiB */
	void (*problem)(void *context, const struct check_problem *p); /* may be NULL */
	int (*approve)(void *context,
		       const struct check_problem
			       *p); /* CHECK_REPAIR: 1 mends, 0 does not; NULL: always */
	void (*progress)(void *context, unsigned pass, uint64_t done,
			 uint64_t total); /* may be NULL */
	void *context;
};

struct check_result {
	uint64_t problems, repaired;
	uint64_t files, dirs, symlinks, others;
	uint64_t used_blocks, used_inodes, fragmented_files;
};

/*
 * Check all of it.  0: done, see ret_result (problems == repaired: the image is good now);
 * -EMEDIUMTYPE: no good superblock; -EPROTONOSUPPORT: one of another version, or with features that are not known:
 * incompat ones, and ro_compat ones where mode writes; -EUCLEAN: it puts the log where none can be; -EFBIG: the device is
 * smaller; -EINVAL: its sectors are larger than the blocks; -EROFS: the engine is read-only, and mode is not
 * CHECK_REPORT; -EIO or another error of the device; -ENOMEM.  The hooks are called by the calling thread.
 */
int check_fs(struct bufio_engine *e, const struct check_options *o,
	     struct check_result *ret_result);

#endif
