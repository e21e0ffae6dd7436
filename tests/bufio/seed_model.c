/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seed_model.h"
#include <stdlib.h>
#include <string.h>

static void bug_if(struct seed *s, bool condition, const char *what)
{
	if (condition && !s->bug)
		s->bug = what;
}

static void link_init(struct seed_link *l)
{
	l->next = l->prev = l;
}

static void link_del(struct seed_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static void link_add(struct seed_link *l, struct seed_link *head)
{
	l->next = head->next;
	l->prev = head;
	head->next->prev = l;
	head->next = l;
}

static struct seed_buffer *buffer_at(struct seed_link *l)
{
	return (struct seed_buffer *)l;
}

/* The device. */

void seed_complete(struct seed *s, struct seed_buffer *b)
{
	if (b->reading) {
		b->read_error = s->fail_reads;
		if (!b->read_error)
			b->value = s->on_device[b->block];
		b->reading = false;
	} else if (b->writing) {
		b->write_error = s->fail_writes;
		if (b->write_error && !s->async_error)
			s->async_error = b->write_error;
		if (!b->write_error)
			s->on_device[b->io_block] = b->io_value;
		b->writing = false;
	}
}

void seed_power_cut(struct seed *s)
{
	/* nothing in the seed has the device flush its cache, so nothing reached the medium */
	memcpy(s->on_device, s->on_medium, sizeof(s->on_device));
}

static void wait_locked(struct seed *s, struct seed_buffer *b)
{
	s->nr_locked_waits++;
	seed_complete(s, b);
}

/* The argument is not looked at, as in the seed. */
static void submit_write(struct seed *s, struct seed_buffer *b, unsigned block)
{
	bug_if(s, s->block_bytes > s->queue_bytes, "bio_add_page");
	b->writing = true;
	b->io_block = b->block;
	b->io_value = b->value;
	if (s->nr_writes < SEED_BLOCKS)
		s->writes[s->nr_writes++] = b->io_block;
}

static void write_buffer(struct seed *s, struct seed_buffer *b)
{
	if (!b->dirty)
		return;
	b->dirty = false;
	if (b->writing)
		wait_locked(s, b);
	submit_write(s, b, b->block);
}

/* Memory and the index. */

void seed_init(struct seed *s, unsigned threshold, unsigned limit)
{
	*s = (struct seed){.threshold = threshold, .limit = limit};
	link_init(&s->clean);
	link_init(&s->dirty);
}

static void free_all(struct seed_buffer *b)
{
	while (b) {
		struct seed_buffer *next = b->next;

		free(b);
		b = next;
	}
}

void seed_finish(struct seed *s)
{
	free_all(s->index);
	free_all(s->freed);
}

static struct seed_buffer *allocate(struct seed *s)
{
	struct seed_buffer *b = s->recycles ? s->freed : NULL;

	if (b) {
		s->freed = b->next;
		return b;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->value = SEED_GARBAGE;
	return b;
}

static void put_into(struct seed *s, struct seed_buffer *b, unsigned block, bool dirty)
{
	s->nr_buffers++;
	b->block = block;
	link_add(&b->lru, dirty ? &s->dirty : &s->clean);
	b->next = s->index;
	s->index = b;
}

static void take_out(struct seed *s, struct seed_buffer *b)
{
	struct seed_buffer **link = &s->index;

	while (*link != b)
		link = &(*link)->next;
	*link = b->next;
	link_del(&b->lru);
	s->nr_buffers--;
}

static void give_back(struct seed *s, struct seed_buffer *b)
{
	b->next = s->freed;
	s->freed = b;
}

/* May the walk over the dirty list take b?  The write is asked for in the one case it is not due. */
static bool is_dirty_one_taken(struct seed *s, struct seed_buffer *b, bool wait)
{
	if (b->dirty) {
		if (b->writing && !wait)
			write_buffer(s, b);
		if (!wait)
			return false;
	}
	if (b->writing) {
		if (!wait)
			return false;
		wait_locked(s, b);
	}
	return true;
}

static struct seed_buffer *take_unclaimed(struct seed *s, bool wait)
{
	struct seed_link *l;

	for (l = s->clean.prev; l != &s->clean; l = l->prev) {
		struct seed_buffer *b = buffer_at(l);

		bug_if(s, b->writing || b->dirty, "a clean buffer is dirty or being written");
		if (b->holds || (b->reading && !wait))
			continue;
		if (b->reading)
			wait_locked(s, b);
		take_out(s, b);
		return b;
	}
	for (l = s->dirty.prev; l != &s->dirty; l = l->prev) {
		struct seed_buffer *b = buffer_at(l);

		if (b->holds || !is_dirty_one_taken(s, b, wait))
			continue;
		take_out(s, b);
		return b;
	}
	return NULL;
}

static void check_watermark(struct seed *s)
{
	while (s->nr_buffers > s->threshold && !s->bug) {
		struct seed_buffer *b = take_unclaimed(s, s->nr_buffers > s->limit);

		if (!b)
			return;
		give_back(s, b);
	}
}

/* The interface. */

static struct seed_buffer *find(struct seed *s, unsigned block)
{
	struct seed_buffer *b = s->index;

	while (b && b->block != block)
		b = b->next;
	return b;
}

static struct seed_buffer *enter(struct seed *s, unsigned block, bool read)
{
	struct seed_buffer *b = find(s, block);

	if (b) {
		b->holds++;
		link_del(&b->lru);
		link_add(&b->lru, b->dirty || b->writing ? &s->dirty : &s->clean);
		return b;
	}
	b = allocate(s);
	b->holds = 1;
	b->read_error = b->write_error = 0;
	put_into(s, b, block, false);
	check_watermark(s);
	b->dirty = b->writing = false;
	b->reading = read;
	return b;
}

static int wait_read(struct seed *s, struct seed_buffer *b, struct seed_buffer **ret)
{
	int r;

	if (b->reading)
		seed_complete(s, b);
	r = b->read_error;
	if (r)
		seed_release(s, b);
	else
		*ret = b;
	return r;
}

struct seed_buffer *seed_start_read(struct seed *s, unsigned block)
{
	return enter(s, block, true);
}

int seed_read(struct seed *s, unsigned block, struct seed_buffer **ret)
{
	return wait_read(s, enter(s, block, true), ret);
}

int seed_new(struct seed *s, unsigned block, struct seed_buffer **ret)
{
	return wait_read(s, enter(s, block, false), ret);
}

void seed_release(struct seed *s, struct seed_buffer *b)
{
	b->holds--;
	if (!b->holds && (b->read_error || b->write_error) && !b->writing && !b->dirty) {
		take_out(s, b);
		give_back(s, b);
	}
}

void seed_mark_dirty(struct seed *s, struct seed_buffer *b)
{
	if (b->dirty)
		return;
	b->dirty = true;
	link_del(&b->lru);
	link_add(&b->lru, &s->dirty);
}

void seed_write_async(struct seed *s)
{
	for (struct seed_link *l = s->dirty.prev; l != &s->dirty; l = l->prev)
		write_buffer(s, buffer_at(l));
}

int seed_write_dirty(struct seed *s)
{
	int r;

	seed_write_async(s);
	for (struct seed_link *l = s->dirty.prev; l != &s->dirty; l = l->prev) {
		struct seed_buffer *b = buffer_at(l);

		if (!b->writing)
			continue;
		b->holds++;
		if (s->meanwhile)
			s->meanwhile(s, b);
		seed_complete(s, b);
		b->holds--;
	}
	r = s->async_error;
	s->async_error = 0;
	return r;
}

void seed_move(struct seed *s, struct seed_buffer *b, unsigned new_block)
{
	write_buffer(s, b);
	if (b->writing)
		wait_locked(s, b);
	if (b->holds == 1) {
		b->dirty = true;
		take_out(s, b);
		put_into(s, b, new_block, true);
	} else {
		submit_write(s, b, new_block);
		wait_locked(s, b);
	}
	seed_release(s, b);
}

void seed_drop(struct seed *s)
{
	struct seed_buffer *b;

	seed_write_async(s);
	while ((b = take_unclaimed(s, true)))
		give_back(s, b);
	bug_if(s, s->clean.next != &s->clean || s->dirty.next != &s->dirty,
	       "a buffer is held at the drop");
}

unsigned seed_count(const struct seed *s, unsigned block)
{
	unsigned n = 0;

	for (const struct seed_buffer *b = s->index; b; b = b->next)
		n += b->block == block;
	return n;
}

unsigned seed_nr_in_flight(const struct seed *s)
{
	unsigned n = 0;

	for (const struct seed_buffer *b = s->index; b; b = b->next)
		n += b->writing;
	return n;
}
