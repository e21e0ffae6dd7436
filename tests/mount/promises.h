/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* promises: a step, what it does to its files, and the ways to make that durable. */
#ifndef PROMISES_H
#define PROMISES_H

#include <stdbool.h>
#include <stddef.h>

#define OLD   'o'
#define NEW   'n'
#define OTHER "other/"
#define NAME  32

/* Where a step writes, compared with what the file has. */
enum shape { ALL_NEW, WITHIN, ACROSS, BEHIND, NR_SHAPES };

struct step {
	const struct way *way;
	enum shape shape;
	size_t unit; /* of bytes: a file has one before */
	unsigned number;
	char name[NAME], other[NAME];
};

enum {
	NO_FILE = 1,	/* only where there is none before */
	WHOLE = 2,	/* it is the old or the new file, never between */
	UNPROMISED = 4, /* it ends without a sync */
	BOTH = 8,	/* the same is in other/ */
};

struct way {
	const char *name;
	void (*act)(const struct step *s);
	char fill;
	unsigned flags;
};

extern const struct way ways[];
extern const size_t nr_ways;

/* End the program; must() unless it holds. */
void fail(const struct step *s, const char *what);
void must(const struct step *s, const char *what, bool holds);

/* How long its file is before and behind it, and where what it writes begins and ends. */
size_t had_bytes(const struct step *s);
size_t size_of(const struct step *s);
size_t from_of(const struct step *s);
size_t to_of(const struct step *s);
/* What is at i when the step is done. */
char byte_at(const struct step *s, size_t i);

char *memory(size_t size, char fill);
/* s->name, made if it is missing. */
int open_file(const struct step *s, int flags);

#endif
