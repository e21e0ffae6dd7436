/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUZZ_H
#define FUZZ_H

/*
 * Random system calls on a mounted filesystem, and the same on a model in memory: what each gives back, contents, sizes,
 * holes, times and numbers of links must agree.  A difference prints the last calls and the seed, and ends the program.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define FUZZ_FILES 10
#define FUZZ_NAMES 24 /* over FUZZ_DIRS folders */
#define FUZZ_DIRS  3
#define FUZZ_BLOCK 4096u
#define FUZZ_BYTES (FUZZ_BLOCK * 96) /* no file grows beyond */

enum fuzz_block {
	BLOCK_HOLE,
	BLOCK_DATA,
	BLOCK_EITHER, /* where the filesystem may choose */
};

struct fuzz_file {
	bool used;
	int fd; /* -1: not open; it may be open without a name */
	unsigned nlink, mode;
	uint64_t size;
	uint8_t *data; /* zero from size on */
	uint8_t block[FUZZ_BYTES / FUZZ_BLOCK];
	uint8_t xattr[2000];
	int xattr_bytes;  /* -1: none */
	struct stat seen; /* after the last call; st_ino 0: not yet */
};

struct fuzz {
	const char *top;
	uint64_t seed;
	struct fuzz_file file[FUZZ_FILES];
	int name[FUZZ_NAMES]; /* index of a file; -1: no such name */
	char last[24][160];   /* calls, a ring */
	unsigned nr_calls;
};

uint64_t fuzz_random(struct fuzz *f, uint64_t below);
void fuzz_say(struct fuzz *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fuzz_differs(struct fuzz *f, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* The call's result is what was expected: 0 (or more), or -1 with this errno. */
void fuzz_expect(struct fuzz *f, long result, int error);

const char *fuzz_path(struct fuzz *f, int name, char path[4096]);

/* An open descriptor of a file, which stays open. */
int fuzz_open(struct fuzz *f, struct fuzz_file *file);

/* Close it; without a name it is gone. */
void fuzz_close(struct fuzz *f, struct fuzz_file *file);

enum fuzz_change {
	CHANGED_NOTHING,
	CHANGED_CTIME,
	CHANGED_BOTH, /* mtime too */
};

/* Size, links and mode are as they should be, and the times that have not changed; and those that have went on. */
void fuzz_check_stat(struct fuzz *f, struct fuzz_file *file, enum fuzz_change change);

/* All of a file: contents, holes, attribute, stat. */
void fuzz_check_file(struct fuzz *f, struct fuzz_file *file);

/* One random call on the bytes of a file; on names. */
void fuzz_bytes(struct fuzz *f, struct fuzz_file *file);
void fuzz_names(struct fuzz *f);

#endif
