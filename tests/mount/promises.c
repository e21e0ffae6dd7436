/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * promises MARKS MARKED: in the current folder, make changes durable in each way there is, and say of each, when the call has
 * returned, that it was acknowledged (recorder.c).
 * promises prepare: what has to be there before.
 * promises check: in the files that a power cut has left, print how many steps from the first on are there exactly.  It fails if a
 * later one has bytes that nobody wrote, or is neither the old nor the new file where it must be one of them.
 *
 * Each step has files of its own, numbered like it.
 */
#include "promises.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fail(const struct step *s, const char *what)
{
	fprintf(stderr, "step %u, %s, shape %d of %zu bytes: %s\n", s->number, s->way->name,
		(int)s->shape, s->unit, what);
	exit(1);
}

void must(const struct step *s, const char *what, bool holds)
{
	if (holds)
		return;
	perror(what);
	fail(s, what);
}

size_t had_bytes(const struct step *s)
{
	return s->shape == ALL_NEW ? 0 : s->unit;
}

size_t from_of(const struct step *s)
{
	static const unsigned quarters[] = {
		[ALL_NEW] = 0, [WITHIN] = 1, [ACROSS] = 2, [BEHIND] = 8};

	return s->unit * quarters[s->shape] / 4;
}

size_t to_of(const struct step *s)
{
	static const unsigned quarters[] = {
		[ALL_NEW] = 4, [WITHIN] = 3, [ACROSS] = 6, [BEHIND] = 12};

	return s->unit * quarters[s->shape] / 4;
}

size_t size_of(const struct step *s)
{
	return to_of(s) > had_bytes(s) ? to_of(s) : had_bytes(s);
}

char byte_at(const struct step *s, size_t i)
{
	if (i >= from_of(s) && i < to_of(s))
		return s->way->fill;
	return i < had_bytes(s) ? OLD : 0;
}

/* The steps */

/* Few are so large that they go past the daemon's cache: all files are looked at after each power cut. */
static size_t unit_of(size_t way, size_t shape)
{
	static const size_t units[] = {80, 6000, 20000, 270336};

	return units[(way + shape) % 4 == 3 && (way * 7 + shape) % 3 ? 2 : (way + shape) % 4];
}

static bool step_at(size_t i, struct step *s)
{
	*s = (struct step){.way = &ways[i % nr_ways], .shape = (enum shape)(i / nr_ways)};
	s->unit = unit_of(i % nr_ways, s->shape);
	s->number = (unsigned)i + 1;
	snprintf(s->name, NAME, "file%u", s->number);
	snprintf(s->other, NAME, OTHER "file%u", s->number);
	if (s->shape == ALL_NEW)
		return !(s->way->flags & WHOLE);
	return !(s->way->flags & NO_FILE);
}

static void prepare(void)
{
	struct step s;

	if (mkdir("other", 0700) < 0)
		exit(1);
	for (size_t i = 0; i < nr_ways * NR_SHAPES; i++) {
		char *p;
		int fd;

		if (!step_at(i, &s) || s.shape == ALL_NEW)
			continue;
		p = memory(s.unit, OLD);
		fd = open_file(&s, O_WRONLY);
		must(&s, "write", write(fd, p, s.unit) == (ssize_t)s.unit);
		close(fd);
		free(p);
	}
}

static void mark(const struct step *s, const char *marks, const char *marked)
{
	char answer[16] = "";
	FILE *f = fopen(marks, "we");

	must(s, marks, f != NULL);
	fprintf(f, "%u\n", s->number);
	fclose(f);
	f = fopen(marked, "re");
	must(s, marked, f && fgets(answer, sizeof(answer), f) && !strcmp(answer, "marked\n"));
	fclose(f);
}

static void run(const char *marks, const char *marked)
{
	struct step s;

	for (size_t i = 0; i < nr_ways * NR_SHAPES; i++) {
		if (!step_at(i, &s))
			continue;
		s.way->act(&s);
		if (!(s.way->flags & UNPROMISED))
			mark(&s, marks, marked);
	}
}

/* Looking at what a power cut has left */

/* Where a file of this size must have it. */
static bool may_be(const struct step *s, size_t i, char c)
{
	if (c == byte_at(s, i))
		return true;
	return c == (i < had_bytes(s) ? OLD : 0);
}

/* Is it as it is at the end?  It fails if it is as it never was. */
static bool is_done(const struct step *s, const char *path)
{
	/* one that was cut between had 100 bytes more before */
	static char data[4 * 270336];
	size_t nr_old = 0, nr_new = 0, size, most = size_of(s);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		if (had_bytes(s))
			fail(s, "the file is gone");
		return false;
	}
	n = read(fd, data, sizeof(data));
	close(fd);
	must(s, "read", n >= 0);
	size = (size_t)n;
	for (size_t i = 0; i < size && i < most; i++) {
		nr_new += data[i] == byte_at(s, i);
		nr_old += i < had_bytes(s) && data[i] == OLD;
		if (!may_be(s, i, data[i]))
			fail(s, "it has bytes that nobody wrote there");
	}
	if (size < had_bytes(s) || size > most + 100)
		fail(s, "it has a size that it never had");
	if (size == most && nr_new == most)
		return true;
	if (s->way->flags & WHOLE && (size != had_bytes(s) || nr_old != size))
		fail(s, "it is neither the old nor the new file");
	return false;
}

static void check(void)
{
	unsigned found = 0;
	bool all = true;
	struct step s;

	for (size_t i = 0; i < nr_ways * NR_SHAPES; i++) {
		if (!step_at(i, &s))
			continue;
		all &= is_done(&s, s.name) || s.way->flags & UNPROMISED;
		if (s.way->flags & BOTH)
			all &= access(s.other, F_OK) == 0 && is_done(&s, s.other);
		if (all)
			found = s.number;
	}
	printf("%u\n", found);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "prepare"))
		prepare();
	else if (argc == 2 && !strcmp(argv[1], "check"))
		check();
	else if (argc == 3)
		run(argv[1], argv[2]);
	else
		return 2;
	return 0;
}
