/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of matrix: what there is (matrix_things.c), what is done to it (matrix_calls.c), and by whom (matrix.c). */
#ifndef MATRIX_H
#define MATRIX_H

#include <stddef.h>
#include <sys/stat.h>

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define USER	  12345 /* also a group */
#define MEMBER	  12346 /* another of the user's groups */
#define FOREIGN	  12347 /* a user and group that he is not */

/* TWICE: with a second name, "x.twin". */
enum kind {
	NONE,
	FILE_,
	DIR_,
	FULL,
	LINK,
	FIFO,
	CHR,
	BLK,
	SOCK,
	DANGLING,
	LOOP,
	SETID,
	TWICE,
	NR_KINDS
};

#define SOME_KINDS 5

extern const char *const kinds[NR_KINDS];

void must(int r, const char *what);
void make_file(const char *path);
void make(enum kind kind, const char *path);

/* What is watched, from the folder of one case. */
#define NR_WATCHED 9

struct seen {
	int error;
	struct stat st;
};

/* A clock may not have ticked since they were made; with ctime it is the kernel's affair. */
void make_old(void);

void look(struct seen *seen);

/* Ends the line. */
void print_changes(const struct seen *before, const struct seen *after);

/* What a call is about: x and, if it takes two, y. */
extern char x[5000], y[5000];
extern unsigned flags;

struct call {
	const char *name;
	int (*run)(void);
	unsigned flags;
};

struct calls {
	const struct call *call;
	size_t nr;
};

/* On one thing; on two; those that ask for rights to one; that make one with a mode. */
extern const struct calls one, two, rights, makers;

#endif
