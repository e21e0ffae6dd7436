/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hooks of a client: where they run they may call the getters, and they are copied. */
#include "client_fixture.h"

static struct bufio_client *_Atomic client; /* NULL: not yet, or no more */
static _Atomic unsigned nr_calls;

static void look(void)
{
	const struct bufio_client *c = client;
	struct bufio_stats s;
	size_t cache, limit;
	char text[64];

	if (!c)
		return;
	bufio_get_stats(c, &s);
	bufio_stats_json(c, text, sizeof(text));
	bufio_get_limits(c, &cache, &limit);
	nr_calls++;
}

static void look_at(void *context, struct bufio_buffer *b)
{
	ck_assert_ptr_nonnull(bufio_data(b));
	ck_assert_ptr_nonnull(bufio_client_of(b));
	look();
}

static int verify(void *context, struct bufio_buffer *b)
{
	look_at(context, b);
	return 0;
}

static void write_error(void *context, uint64_t block, int error)
{
	look();
}

static void trace(void *context, const struct bufio_trace *event)
{
	look();
}

static void done(void *context)
{
}

/* Reads, write-back, flushes, and a failed write behind that is taken over. */
START_TEST(getters_may_be_called_wherever_hooks_run)
{
	const struct bufio_callbacks callbacks = {.verify = verify,
						  .prepare = look_at,
						  .write_error = write_error,
						  .alloc = look_at,
						  .trace = trace};
	void *data = aligned_alloc(BLOCK, 2 * BLOCK);
	struct iovec iov = {data, 2 * BLOCK};
	struct bufio_options o;
	struct tc t;

	tc_options(&o);
	o.callbacks = &callbacks;
	tc_init(&t, &o);
	client = t.client;
	ck_assert_uint_eq(tc_get(&t, 1), 0);
	tc_put(&t, 1, 2);
	dam_fail(t.dam, DAM_WRITE, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	memset(data, 1, 2 * BLOCK);
	dam_fail(t.dam, DAM_WRITE, 1, -EIO);
	ck_assert_int_eq(bufio_write_behind(t.client, 8, &iov, done, NULL), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 9), 0x01010101);
	client = NULL;
	ck_assert_uint_ge(nr_calls, 8);
	tc_finish(&t);
	free(data);
}
END_TEST

START_TEST(hooks_are_copied)
{
	struct bufio_callbacks callbacks = {.trace = trace};
	struct bufio_options o;
	struct tc t;

	tc_options(&o);
	o.callbacks = &callbacks;
	tc_init(&t, &o);
	callbacks.trace = NULL;
	client = t.client;
	ck_assert_uint_eq(tc_get(&t, 1), 0);
	client = NULL;
	ck_assert_uint_eq(nr_calls, 1);
	tc_finish(&t);
}
END_TEST

static void setup(void)
{
	nr_calls = 0;
}

int main(void)
{
	Suite *suite = suite_create("hooks");
	TCase *tc = tcase_create("hooks");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, getters_may_be_called_wherever_hooks_run);
	tcase_add_test(tc, hooks_are_copied);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
