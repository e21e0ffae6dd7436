/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR LIVE_SECTOR

static bool is_before(const struct live *x, const struct live *y)
{
	return x->begin < y->begin && (x->end < y->begin || x->end == LIVE_NEVER);
}

bool live_is_unordered(const struct live *x, const struct live *y)
{
	return x != y && !is_before(x, y) && !is_before(y, x);
}

bool live_common(const struct live *x, const struct live *y, uint64_t *first, uint64_t *end)
{
	uint64_t x_end = x->first + x->nr, y_end = y->first + y->nr;

	*first = x->first > y->first ? x->first : y->first;
	*end = x_end < y_end ? x_end : y_end;
	return *first < *end;
}

bool live_overlap(const struct live *x, const struct live *y)
{
	uint64_t s, end;

	if (!live_common(x, y, &s, &end))
		return false;
	for (; s < end; s++)
		if (!x->dead[s - x->first] && !y->dead[s - y->first])
			return true;
	return false;
}

static bool is_dead(const struct live *x)
{
	for (size_t i = 0; i < x->nr; i++)
		if (!x->dead[i])
			return false;
	return true;
}

void *live_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void live_add(struct live_list *l, const struct bufio_record_entry *e, size_t begin, size_t end)
{
	struct live *x = live_alloc(sizeof(*x));

	assert(e->offset_bytes % SECTOR == 0 && e->size_bytes % SECTOR == 0);
	*x = (struct live){.number = e->kind == BUFIO_RECORD_WRITE ? e->write : 0,
			   .begin = begin,
			   .end = end,
			   .first = e->offset_bytes / SECTOR,
			   .nr = e->size_bytes / SECTOR,
			   .data = e->data};
	x->dead = live_alloc(x->nr);
	x->present = live_alloc(x->nr);
	if (l->nr == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->all = realloc(l->all, l->room * sizeof(struct live *));
		if (!l->all)
			abort();
	}
	l->all[l->nr++] = x;
}

void live_remove(struct live_list *l, size_t i)
{
	struct live *x = l->all[i];

	memmove(&l->all[i], &l->all[i + 1], (--l->nr - i) * sizeof(struct live *));
	free(x->dead);
	free(x->present);
	free(x);
}

/* Runs of sectors that go somewhere. */

static void poke_junk(struct bufio_engine *e, live_poke_fn poke, uint64_t at, size_t size)
{
	char junk[64 * SECTOR];
	size_t n;

	memset(junk, 0xdd, sizeof(junk));
	for (; size; size -= n, at += n) {
		n = size < sizeof(junk) ? size : sizeof(junk);
		if (poke(e, at, junk, n))
			abort();
	}
}

static void poke_run(struct bufio_engine *e, live_poke_fn poke, const struct live *x, size_t i,
		     size_t n)
{
	uint64_t at = (x->first + i) * SECTOR;

	if (!x->data)
		poke_junk(e, poke, at, n * SECTOR);
	else if (poke(e, at, x->data + i * SECTOR, n * SECTOR))
		abort();
}

void live_poke(struct bufio_engine *e, live_poke_fn poke, const struct live *x, const bool *hidden)
{
	size_t i = 0, n;

	while (i < x->nr) {
		for (n = 0; i + n < x->nr && x->present[i + n] && !x->dead[i + n] &&
			    !(hidden && hidden[i + n]);
		     n++)
			;
		if (n)
			poke_run(e, poke, x, i, n);
		i += n + 1;
	}
}

/* Becoming certain. */

void live_make_certain(struct live_list *l, struct live *w)
{
	uint64_t s, end;

	w->certain = true;
	for (size_t i = 0; i < l->nr; i++) {
		struct live *x = l->all[i];

		if (is_before(x, w) && live_common(x, w, &s, &end))
			memset(&x->dead[s - x->first], true, end - s);
	}
}

static bool may_settle(const struct live_list *l, const struct live *w)
{
	for (size_t i = 0; i < l->nr; i++) {
		const struct live *x = l->all[i];

		if (x != w && !is_before(w, x) && live_overlap(x, w))
			return false;
	}
	return true;
}

static bool settle_some(struct live_list *l, struct bufio_engine *base)
{
	size_t nr = l->nr;

	for (size_t i = 0; i < l->nr;) {
		struct live *x = l->all[i];
		bool good = x->certain && may_settle(l, x);

		if (good) {
			memset(x->present, true, x->nr);
			live_poke(base, bufio_engine_mem_poke, x, NULL);
		}
		if (good || is_dead(x))
			live_remove(l, i);
		else
			i++;
	}
	return l->nr < nr;
}

/* One may have waited for another that came later. */
void live_settle(struct live_list *l, struct bufio_engine *base)
{
	while (settle_some(l, base))
		;
}
