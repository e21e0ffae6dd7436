/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Engines of every kind to run one contract over, and transfers to run on them. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bufio_test_engine.h>
#include "engine_file.h"
#include "engine_fixture.h"

#define WAIT_SECONDS  60
#define FILE_TEMPLATE "/var/tmp/bufio-engine-XXXXXX"

/* Engines. */

bool fixture_has_aio(void)
{
	char path[] = FILE_TEMPLATE;
	int fd = mkstemp(path);
	struct bufio_engine *e;
	bool yes;

	if (fd < 0)
		return false;
	close(fd);
	yes = bufio_engine_open(path, NULL, &e) == 0;
	unlink(path);
	if (yes) {
		yes = strcmp(e->name, "aio") == 0;
		bufio_engine_destroy(e);
	}
	return yes;
}

void fixture_make_file(char path[64], uint64_t size_bytes)
{
	int fd;

	strcpy(path, FILE_TEMPLATE);
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size_bytes), 0);
	close(fd);
}

void fixture_options(enum kind kind, struct bufio_engine_options *o)
{
	*o = (struct bufio_engine_options){0};
	o->synchronous = kind == KIND_SYNC || kind == KIND_BUFFERED;
	o->buffered = kind == KIND_BUFFERED;
	o->queue_depth = 16;
}

static void make_file_engine(struct fixture *f, enum kind kind, struct bufio_engine **ret_engine)
{
	struct bufio_engine_options o;

	fixture_make_file(f->path, FIXTURE_BYTES + 100);
	fixture_options(kind, &o);
	o.read_only = f->read_only;
	ck_assert_int_eq(bufio_engine_open(f->path, &o, ret_engine), 0);
}

static void make_mem_engine(struct fixture *f, struct bufio_engine **ret_engine)
{
	ck_assert_int_eq(bufio_engine_mem_create(FIXTURE_BYTES, SECTOR_BYTES, ret_engine), 0);
	(*ret_engine)->read_only = f->read_only;
}

static void make_engine(struct fixture *f, enum kind kind)
{
	struct bufio_engine *inner;

	if (kind < NR_FILE_KINDS) {
		make_file_engine(f, kind, &f->engine);
		return;
	}
	if (kind == KIND_RECORD_AIO)
		make_file_engine(f, KIND_AIO, &inner);
	else
		make_mem_engine(f, &inner);
	f->engine = inner;
	if (kind == KIND_REORDER)
		ck_assert_int_eq(bufio_engine_mem_reorder(inner, 4711), 0);
	if (kind == KIND_FAULT)
		ck_assert_int_eq(bufio_engine_fault_create(inner, &f->engine), 0);
	if (kind == KIND_RECORD || kind == KIND_RECORD_AIO)
		ck_assert_int_eq(bufio_engine_record_create(inner, &f->engine), 0);
}

void fixture_init(struct fixture *f, enum kind kind)
{
	*f = (struct fixture){.kind = kind};
	make_engine(f, kind);
}

void fixture_init_read_only(struct fixture *f, enum kind kind)
{
	*f = (struct fixture){.kind = kind, .read_only = true};
	make_engine(f, kind);
}

void fixture_init_sys(struct fixture *f, enum kind kind, const struct engine_sys *sys)
{
	struct engine_open_source source = {.sys = sys, .owns_fd = true};
	struct bufio_engine_options o;
	int flags = O_RDWR | O_CLOEXEC;

	*f = (struct fixture){.kind = kind};
	fixture_make_file(f->path, FIXTURE_BYTES);
	fixture_options(kind, &o);
	source.fd = open(f->path, flags | (o.buffered ? 0 : O_DIRECT));
	if (source.fd < 0 && errno == EINVAL)
		source.fd = open(f->path, flags);
	ck_assert_int_ge(source.fd, 0);
	ck_assert_int_eq(engine_open_fd(&source, &o, &f->engine), 0);
}

void fixture_finish(struct fixture *f)
{
	bufio_engine_destroy(f->engine);
	if (f->path[0])
		unlink(f->path);
}

/* Contents. */

unsigned draw_below(struct draw *d, unsigned limit)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(d->state >> 33) % limit;
}

void pattern_fill(void *data, size_t size_bytes, unsigned seed)
{
	struct draw d = {seed};
	unsigned char *p = data;
	size_t i;

	for (i = 0; i < size_bytes; i++)
		p[i] = (unsigned char)draw_below(&d, 256);
}

static void *aligned_memory(size_t size_bytes)
{
	void *data;

	ck_assert_int_eq(posix_memalign(&data, 4096, size_bytes), 0);
	return data;
}

void *pattern_alloc(size_t size_bytes, unsigned seed)
{
	void *data = aligned_memory(size_bytes);

	pattern_fill(data, size_bytes, seed);
	return data;
}

void assert_pattern(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes, unsigned seed)
{
	void *want = pattern_alloc(size_bytes, seed), *got = aligned_memory(size_bytes);

	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_READ, offset_bytes, got, size_bytes), 0);
	ck_assert_mem_eq(got, want, size_bytes);
	free(want);
	free(got);
}

void assert_bytes(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes, int byte)
{
	unsigned char *want = aligned_memory(size_bytes), *got = aligned_memory(size_bytes);

	memset(want, byte, size_bytes);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_READ, offset_bytes, got, size_bytes), 0);
	ck_assert_mem_eq(got, want, size_bytes);
	free(want);
	free(got);
}

/* Transfers. */

void waiter_init(struct waiter *w)
{
	*w = (struct waiter){0};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
}

void waiter_finish(struct waiter *w)
{
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}

void waiter_wait(struct waiter *w)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&w->lock);
	while (w->nr_pending && r == 0)
		r = pthread_cond_timedwait(&w->wake, &w->lock, &until);
	pthread_mutex_unlock(&w->lock);
	ck_assert_int_eq(r, 0);
}

static void request_done(struct bufio_io *io, int result)
{
	struct request *q = io->context;
	struct waiter *w = q->waiter;

	pthread_mutex_lock(&w->lock);
	q->result = result;
	q->nr_done++;
	w->nr_done++;
	if (result && !w->nr_failed++)
		w->first_error = result;
	if (--w->nr_pending == 0)
		pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void request_init(struct request *q, enum bufio_op op, uint64_t offset_bytes, void *data,
		  size_t size_bytes)
{
	q->iov[0].iov_base = data;
	q->iov[0].iov_len = size_bytes;
	q->io = (struct bufio_io){
		.op = op,
		.offset_bytes = offset_bytes,
		.iov = q->iov,
		.nr_iov = 1,
		.size_bytes = size_bytes,
		.done = request_done,
		.context = q,
	};
	q->result = 1;
	q->nr_done = 0;
}

void request_split(struct request *q, unsigned nr_parts)
{
	size_t sectors = q->io.size_bytes / SECTOR_BYTES, part;
	char *data = q->iov[0].iov_base;
	unsigned i;

	ck_assert_uint_le(nr_parts, sectors);
	for (i = 0; i < nr_parts; i++) {
		part = sectors / (nr_parts - i) * SECTOR_BYTES;
		q->iov[i].iov_base = data;
		q->iov[i].iov_len = part;
		data += part;
		sectors -= part / SECTOR_BYTES;
	}
	q->io.nr_iov = nr_parts;
}

void request_start(struct bufio_engine *e, struct request *const *qs, unsigned nr, struct waiter *w)
{
	struct bufio_io **ios = calloc(nr, sizeof(*ios));
	unsigned i;

	ck_assert_ptr_nonnull(ios);
	pthread_mutex_lock(&w->lock);
	w->nr_pending += nr;
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < nr; i++) {
		qs[i]->waiter = w;
		ios[i] = &qs[i]->io;
	}
	e->ops->submit(e, ios, nr);
	free(ios);
}

int request_submit(struct bufio_engine *e, struct request *q)
{
	struct waiter w;

	waiter_init(&w);
	request_start(e, &q, 1, &w);
	waiter_wait(&w);
	waiter_finish(&w);
	ck_assert_uint_eq(w.nr_done, 1);
	return q->result;
}

int request_transfer(struct bufio_engine *e, struct request *q)
{
	int r;

	r = e->ops->transfer(e, &q->io);
	ck_assert_uint_eq(q->nr_done, 0);
	return r;
}

int simple_transfer(struct bufio_engine *e, enum bufio_op op, uint64_t offset_bytes, void *data,
		    size_t size_bytes)
{
	struct iovec iov = {data, size_bytes};
	struct bufio_io io = {
		.op = op,
		.offset_bytes = offset_bytes,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = size_bytes,
	};

	return e->ops->transfer(e, &io);
}
