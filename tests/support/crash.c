/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks the log with the list of live writes: those whose effect is not settled.
 *
 * live.h has their rules.  An image is the base with some of the live writes on top, in their
 * order.
 */
#include "crash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "undo.h"

#define MOST_PAIRS 64u /* pairs of more writes than these are left to the draws */

struct crash {
	const struct bufio_record_entry **entries;
	struct bufio_engine *base, *image;
	struct crash_options options;
	size_t position, nr_entries;
	uint64_t mark;
	bool fresh; /* there are images that no point had */
	struct live_list live;
	struct live **maybe; /* the uncertain ones of live */
	size_t nr_maybe;
	size_t *ends; /* entry of the completion, by number of write less first_number */
	uint64_t first_number, nr_numbers;
	uint64_t random;
	/* which image */
	unsigned stage;
	size_t index, nr_images;
	bool reverse; /* of two in flight together the earlier one on top */
};

static size_t draw(struct crash *c, size_t below)
{
	c->random = c->random * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(c->random >> 33) % below;
}

static const struct bufio_record_entry *entry_at(const struct crash *c, size_t i)
{
	return c->entries[i];
}

/* All that was over when the flush began is certain. */
static void flush_ended(struct crash *c, uint64_t number)
{
	size_t begin = c->position;

	/* It is there: the log began when nothing was in flight. */
	while (entry_at(c, begin)->kind != BUFIO_RECORD_FLUSH_BEGIN ||
	       entry_at(c, begin)->write != number)
		begin--;
	for (size_t i = 0; i < c->live.nr; i++)
		if (!c->live.all[i]->certain && c->live.all[i]->end < begin)
			live_make_certain(&c->live, c->live.all[i]);
	live_settle(&c->live, c->base);
}

static void durable_ended(struct crash *c, uint64_t number)
{
	for (size_t i = 0; i < c->live.nr; i++)
		if (c->live.all[i]->number == number)
			live_make_certain(&c->live, c->live.all[i]);
	live_settle(&c->live, c->base);
}

static void step(struct crash *c)
{
	const struct bufio_record_entry *e = entry_at(c, c->position);

	switch (e->kind) {
	case BUFIO_RECORD_WRITE:
		live_add(&c->live, e, c->position, c->ends[e->write - c->first_number]);
		c->fresh = true;
		break;
	case BUFIO_RECORD_DISCARD:
		live_add(&c->live, e, c->position, c->position);
		c->fresh = true;
		break;
	case BUFIO_RECORD_COMPLETE:
		if (e->durable)
			durable_ended(c, e->write);
		break;
	case BUFIO_RECORD_FLUSH_END:
		flush_ended(c, e->write);
		break;
	case BUFIO_RECORD_MARK:
		c->mark = e->write;
		c->fresh = true;
		break;
	case BUFIO_RECORD_FLUSH_BEGIN:
		break;
	}
	c->position++;
}

static bool is_point(const struct crash *c)
{
	const struct bufio_record_entry *e;

	if (!c->fresh)
		return false;
	if (c->position == c->nr_entries)
		return true;
	e = entry_at(c, c->position);
	return e->kind == BUFIO_RECORD_FLUSH_END || e->kind == BUFIO_RECORD_MARK ||
	       (e->kind == BUFIO_RECORD_COMPLETE && e->durable);
}

bool crash_next_point(struct crash *c)
{
	undo_all(c->image);
	while (!is_point(c)) {
		if (c->position == c->nr_entries)
			return false;
		step(c);
	}
	c->fresh = false;
	c->nr_maybe = 0;
	free(c->maybe);
	c->maybe = live_alloc(c->live.nr * sizeof(struct live *));
	for (size_t i = 0; i < c->live.nr; i++)
		if (!c->live.all[i]->certain)
			c->maybe[c->nr_maybe++] = c->live.all[i];
	c->stage = 0;
	c->index = c->nr_images = 0;
	c->reverse = false;
	return true;
}

/* Which writes are present.  Each stage has a number of choices, and makes the i-th. */

static void set_present(struct live *x, bool present)
{
	memset(x->present, present, x->nr);
}

static void set_all(struct crash *c, bool present)
{
	for (size_t i = 0; i < c->nr_maybe; i++)
		set_present(c->maybe[i], present);
}

static bool is_exhaustive(const struct crash *c)
{
	return c->nr_maybe <= c->options.most_exhaustive;
}

static size_t count_subsets(const struct crash *c)
{
	return is_exhaustive(c) ? (size_t)1 << c->nr_maybe : 0;
}

static void choose_subset(struct crash *c, size_t choice)
{
	for (size_t i = 0; i < c->nr_maybe; i++)
		set_present(c->maybe[i], choice >> i & 1);
}

static size_t count_prefixes(const struct crash *c)
{
	return is_exhaustive(c) ? 0 : c->nr_maybe + 1;
}

static void choose_prefix(struct crash *c, size_t choice)
{
	for (size_t i = 0; i < c->nr_maybe; i++)
		set_present(c->maybe[i], i < choice);
}

static size_t count_singles(const struct crash *c)
{
	return is_exhaustive(c) ? 0 : c->nr_maybe;
}

static void choose_single(struct crash *c, size_t choice)
{
	set_all(c, false);
	set_present(c->maybe[choice], true);
}

static void choose_all_but_one(struct crash *c, size_t choice)
{
	set_all(c, true);
	set_present(c->maybe[choice], false);
}

static size_t count_pairs(const struct crash *c)
{
	return is_exhaustive(c) || c->nr_maybe > MOST_PAIRS ? 0
							    : c->nr_maybe * (c->nr_maybe - 1) / 2;
}

static void choose_pair(struct crash *c, size_t choice)
{
	size_t i = 1;

	while (choice >= i)
		choice -= i++;
	set_all(c, false);
	set_present(c->maybe[i], true);
	set_present(c->maybe[choice], true);
}

static size_t count_random(const struct crash *c)
{
	return is_exhaustive(c) ? 0 : c->options.nr_random;
}

static void choose_random(struct crash *c, size_t choice)
{
	for (size_t i = 0; i < c->nr_maybe; i++)
		set_present(c->maybe[i], draw(c, 2));
}

/* One write torn, each in three ways, without and with all the others. */
static size_t count_torn(const struct crash *c)
{
	return c->options.whole_writes ? 0 : c->nr_maybe * 6;
}

static void choose_torn(struct crash *c, size_t choice)
{
	struct live *x = c->maybe[choice / 6];

	set_all(c, choice % 2);
	for (size_t i = 0; i < x->nr; i++) {
		if (choice / 2 % 3 == 2)
			x->present[i] = draw(c, 2);
		else
			x->present[i] = (i < x->nr / 2) == (choice / 2 % 3 == 0);
	}
}

static const struct stage {
	size_t (*count)(const struct crash *c);
	void (*choose)(struct crash *c, size_t choice);
} stages[] = {
	{count_subsets, choose_subset}, {count_prefixes, choose_prefix},
	{count_singles, choose_single}, {count_singles, choose_all_but_one},
	{count_pairs, choose_pair},	{count_random, choose_random},
	{count_torn, choose_torn},
};

#define NR_STAGES (sizeof(stages) / sizeof(stages[0]))

/* The image. */

/* What of x lies under an earlier one that was in flight with it and comes out on top. */
static void hide(const struct crash *c, size_t i, bool *hidden)
{
	const struct live *x = c->live.all[i];
	uint64_t s, end;

	for (size_t j = 0; j < i; j++) {
		const struct live *y = c->live.all[j];

		if (!live_is_unordered(x, y) || !live_common(x, y, &s, &end))
			continue;
		for (; s < end; s++)
			hidden[s - x->first] |= y->present[s - y->first];
	}
}

static void make_image(struct crash *c)
{
	undo_all(c->image);
	for (size_t i = 0; i < c->live.nr; i++) {
		struct live *x = c->live.all[i];
		bool *hidden = NULL;

		if (x->certain)
			set_present(x, true);
		if (c->reverse) {
			hidden = live_alloc(x->nr);
			hide(c, i, hidden);
		}
		live_poke(c->image, undo_poke, x, hidden);
		free(hidden);
	}
	c->nr_images++;
}

static bool has_unordered(const struct crash *c)
{
	for (size_t i = 0; i < c->live.nr; i++)
		for (size_t j = 0; j < i; j++)
			if (live_is_unordered(c->live.all[i], c->live.all[j]) &&
			    live_overlap(c->live.all[i], c->live.all[j]))
				return true;
	return false;
}

bool crash_next_image(struct crash *c)
{
	for (;;) {
		while (c->stage < NR_STAGES && c->index >= stages[c->stage].count(c)) {
			c->stage++;
			c->index = 0;
		}
		if (c->stage < NR_STAGES)
			break;
		if (c->reverse || !has_unordered(c))
			return false;
		c->reverse = true;
		c->stage = 0;
	}
	stages[c->stage].choose(c, c->index++);
	make_image(c);
	return true;
}

/* The rest. */

struct bufio_engine *crash_image(struct crash *c)
{
	return c->image;
}

uint64_t crash_mark(const struct crash *c)
{
	return c->mark;
}

size_t crash_position(const struct crash *c)
{
	return c->position;
}

unsigned crash_nr_uncertain(const struct crash *c)
{
	return (unsigned)c->nr_maybe;
}

void crash_print(const struct crash *c, FILE *f)
{
	fprintf(f, "crash at entry %zu of %zu, mark %llu, image %zu%s; present of the uncertain:",
		c->position, c->nr_entries, (unsigned long long)c->mark, c->nr_images,
		c->reverse ? ", reversed" : "");
	for (size_t i = 0; i < c->nr_maybe; i++) {
		const struct live *x = c->maybe[i];
		size_t n = 0;

		for (size_t s = 0; s < x->nr; s++)
			n += x->present[s];
		if (n)
			fprintf(f, " %llu(%zu of %zu sectors at %llu)",
				(unsigned long long)x->number, n, x->nr,
				(unsigned long long)x->first);
	}
	fprintf(f, "\n");
}

void crash_options_init(struct crash_options *o)
{
	*o = (struct crash_options){.most_exhaustive = 10, .nr_random = 32, .seed = 1};
}

static void find_ends(struct crash *c)
{
	for (size_t i = 0; i < c->nr_entries; i++) {
		const struct bufio_record_entry *e = entry_at(c, i);

		if (e->kind != BUFIO_RECORD_WRITE)
			continue;
		if (!c->nr_numbers++)
			c->first_number = e->write;
	}
	c->ends = live_alloc(c->nr_numbers * sizeof(*c->ends));
	memset(c->ends, 0xff, c->nr_numbers * sizeof(*c->ends));
	for (size_t i = 0; i < c->nr_entries; i++)
		if (entry_at(c, i)->kind == BUFIO_RECORD_COMPLETE)
			c->ends[entry_at(c, i)->write - c->first_number] = i;
}

void crash_create_from(const struct bufio_record_entry *const *entries, size_t nr,
		       struct bufio_engine *base, const struct crash_options *options,
		       struct crash **ret_crash)
{
	struct crash *c = live_alloc(sizeof(*c));

	c->base = base;
	if (undo_create(base, &c->image))
		abort();
	crash_options_init(&c->options);
	if (options)
		c->options = *options;
	c->random = c->options.seed;
	c->nr_entries = nr;
	c->entries = live_alloc(nr * sizeof(*c->entries));
	for (size_t i = 0; i < nr; i++)
		c->entries[i] = entries[i];
	c->fresh = true;
	find_ends(c);
	*ret_crash = c;
}

void crash_create(struct bufio_engine *record, struct bufio_engine *base,
		  const struct crash_options *options, struct crash **ret_crash)
{
	size_t nr = bufio_engine_record_count(record);
	const struct bufio_record_entry **entries = live_alloc(nr * sizeof(*entries));

	for (size_t i = 0; i < nr; i++)
		entries[i] = bufio_engine_record_get(record, i);
	crash_create_from(entries, nr, base, options, ret_crash);
	free(entries);
}

void crash_destroy(struct crash *c)
{
	undo_all(c->image);
	while (c->live.nr)
		live_remove(&c->live, c->live.nr - 1);
	bufio_engine_destroy(c->image);
	free(c->live.all);
	free(c->maybe);
	free(c->ends);
	free(c->entries);
	free(c);
}

struct bufio_engine *crash_copy(struct bufio_engine *mem)
{
	static const char zeroes[64 * LIVE_SECTOR];
	char part[64 * LIVE_SECTOR];
	struct bufio_engine *copy;

	if (bufio_engine_mem_create(mem->size_bytes, mem->sector_bytes, &copy))
		abort();
	for (uint64_t at = 0; at < mem->size_bytes; at += sizeof(part)) {
		uint64_t left = mem->size_bytes - at;
		size_t n = left < sizeof(part) ? (size_t)left : sizeof(part);

		if (bufio_engine_mem_peek(mem, at, part, n))
			abort();
		if (memcmp(part, zeroes, n) && bufio_engine_mem_poke(copy, at, part, n))
			abort();
	}
	return copy;
}
