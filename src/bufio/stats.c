/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters, latencies, the trace hook, and who holds what.  Counting takes no lock.
 */
#include "client.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t stats_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint32_t stats_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)t.tv_sec * 1000 + (uint32_t)(t.tv_nsec / 1000000);
}

void stats_latency(struct bufio_client *c, enum bufio_latency what, uint64_t since_ns)
{
	struct histogram *h = &c->stats.latency[what];
	uint64_t ns = stats_now_ns() - since_ns;
	unsigned i = 63u - (unsigned)__builtin_clzll(ns | 1);

	if (i >= BUFIO_HISTOGRAM_BUCKETS)
		i = BUFIO_HISTOGRAM_BUCKETS - 1;
	atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->total_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
}

void stats_trace(struct bufio_client *c, enum bufio_trace_kind kind, uint64_t block, uint64_t nr,
		 int result)
{
	struct bufio_trace event;

	if (!c->callbacks.trace)
		return;
	event = (struct bufio_trace){
		.kind = kind, .block = block, .nr = nr, .result = result, .ns = stats_now_ns()};
	c->callbacks.trace(c->options.callback_context, &event);
}

static void get_latencies(const struct bufio_client *c, struct bufio_stats *ret)
{
	for (unsigned i = 0; i < BUFIO_NR_LATENCIES; i++) {
		const struct histogram *h = &c->stats.latency[i];

		ret->latency[i].count = h->count;
		ret->latency[i].total_ns = h->total_ns;
		for (unsigned k = 0; k < BUFIO_HISTOGRAM_BUCKETS; k++)
			ret->latency[i].buckets[k] = h->buckets[k];
	}
}

static void get_buffers(struct bufio_client *c, struct bufio_stats *ret)
{
	uint32_t nr = atomic_load(&c->nr_touched);

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t s = atomic_load(&c->buffers[i].state);

		ret->nr_held += hold_count(&c->buffers[i]) != 0;
		ret->nr_pinned += (s & ST_PINS) != 0;
	}
	pthread_mutex_lock(&c->pool_lock);
	ret->nr_buffers = c->nr_used;
	ret->peak_buffers = c->peak_used;
	pthread_mutex_unlock(&c->pool_lock);
}

void bufio_get_stats(const struct bufio_client *c, struct bufio_stats *ret)
{
	const struct client_stats *s = &c->stats;

	*ret = (struct bufio_stats){
		.hits = hold_hits(c),
		.misses = s->misses,
		.reads = s->reads,
		.read_blocks = s->read_blocks,
		.writes = s->writes,
		.written_blocks = s->written_blocks,
		.written_bytes = s->written_bytes,
		.read_errors = s->read_errors,
		.write_errors = s->write_errors,
		.flushes = s->flushes,
		.flush_errors = s->flush_errors,
		.evictions = s->evictions,
		.waits = s->waits,
		.nr_dirty = dirty_count(c),
	};
	get_buffers((struct bufio_client *)c, ret);
	get_latencies(c, ret);
}

/* Text that goes to a buffer as far as it fits, and is counted anyway. */
struct text {
	char *data;
	size_t size, used;
};

static void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void text_add(struct text *t, const char *format, ...)
{
	size_t room = t->used < t->size ? t->size - t->used : 0;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(room ? t->data + t->used : NULL, room, format, arguments);
	va_end(arguments);
	t->used += n > 0 ? (size_t)n : 0;
}

/* Buckets as [nanoseconds below which, how many], those that are empty left out. */
static void add_latency(struct text *t, const char *name, const struct bufio_histogram *h)
{
	const char *comma = "";

	text_add(t, ", \"%s_latency\": {\"count\": %llu, \"total_ns\": %llu, \"below_ns\": [", name,
		 (unsigned long long)h->count, (unsigned long long)h->total_ns);
	for (unsigned i = 0; i < BUFIO_HISTOGRAM_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		text_add(t, "%s[%llu, %llu]", comma, 2ull << i, (unsigned long long)h->buckets[i]);
		comma = ", ";
	}
	text_add(t, "]}");
}

size_t bufio_stats_json(const struct bufio_client *c, char *text, size_t size)
{
	static const char *const latencies[BUFIO_NR_LATENCIES] = {"read", "write", "flush", "wait"};
	struct text t = {.data = text, .size = size};
	struct bufio_stats s;

	bufio_get_stats(c, &s);
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"hits", s.hits},
		{"misses", s.misses},
		{"reads", s.reads},
		{"read_blocks", s.read_blocks},
		{"writes", s.writes},
		{"written_blocks", s.written_blocks},
		{"written_bytes", s.written_bytes},
		{"read_errors", s.read_errors},
		{"write_errors", s.write_errors},
		{"flushes", s.flushes},
		{"flush_errors", s.flush_errors},
		{"evictions", s.evictions},
		{"waits", s.waits},
		{"nr_buffers", s.nr_buffers},
		{"peak_buffers", s.peak_buffers},
		{"nr_dirty", s.nr_dirty},
		{"nr_held", s.nr_held},
		{"nr_pinned", s.nr_pinned},
		{"block_bytes", c->options.block_bytes},
	};

	for (unsigned i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		text_add(&t, "%s\"%s\": %llu", i ? ", " : "{", counters[i].name,
			 (unsigned long long)counters[i].value);
	for (unsigned i = 0; i < BUFIO_NR_LATENCIES; i++)
		add_latency(&t, latencies[i], &s.latency[i]);
	text_add(&t, "}");
	return t.used;
}

static void name_caller(const void *caller, char *name, size_t size)
{
	Dl_info info;

	if (!caller || !dladdr(caller, &info) || !info.dli_fname)
		snprintf(name, size, "%p", caller);
	else if (info.dli_sname)
		snprintf(name, size, "%s+0x%zx", info.dli_sname,
			 (size_t)((const char *)caller - (const char *)info.dli_saddr));
	else
		snprintf(name, size, "%s+0x%zx", info.dli_fname,
			 (size_t)((const char *)caller - (const char *)info.dli_fbase));
}

uint64_t bufio_report_held(struct bufio_client *c,
			   void (*report)(void *context, const struct bufio_held *held),
			   void *context)
{
	uint32_t nr = atomic_load(&c->nr_touched);
	char name[BUFIO_CALLER_NAME];
	uint64_t n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct bufio_buffer *b = &c->buffers[i];
		uint64_t s = atomic_load(&b->state);
		int64_t nr_holds = hold_count(b);
		struct bufio_held held;

		if (!nr_holds && !(s & ST_PINS))
			continue;
		n++;
		held = (struct bufio_held){
			.block = atomic_load(&b->block),
			.nr_holds = (unsigned)nr_holds,
			.nr_pins = (unsigned)((s & ST_PINS) / ST_PIN),
			.caller = atomic_load_explicit(&b->caller, memory_order_relaxed),
			.caller_name = name,
		};
		name_caller(held.caller, name, sizeof(name));
		if (report)
			report(context, &held);
	}
	return n;
}
