/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A flush keeps the next pin away while it needs that, and no longer; a write under way keeps changes
 * away.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "client.h"

#define SIZE	  4096u
#define NR_BLOCKS 64u
#define SLOW	  1u /* the block whose writes wait at the gate */
#define OTHER	  2u

/* The mem engine behind a gate. */
struct gate {
	struct bufio_engine base;
	struct bufio_engine *mem;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open, arrived;
};

static struct gate gate;
static struct bufio_client *client;
static atomic_bool is_written;

static void pass(const struct bufio_io *io)
{
	if (io->op != BUFIO_OP_WRITE || io->offset_bytes != SLOW * SIZE)
		return;
	pthread_mutex_lock(&gate.lock);
	gate.arrived = true;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void gate_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		pass(ios[i]);
	gate.mem->ops->submit(gate.mem, ios, nr);
}

static int gate_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	pass(io);
	return gate.mem->ops->transfer(gate.mem, io);
}

static int gate_flush(struct bufio_engine *e)
{
	return gate.mem->ops->flush(gate.mem);
}

static int gate_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return gate.mem->ops->discard(gate.mem, offset_bytes, size_bytes);
}

static int gate_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return gate.mem->ops->zero(gate.mem, offset_bytes, size_bytes);
}

static void gate_destroy(struct bufio_engine *e)
{
	bufio_engine_destroy(gate.mem);
}

static const struct bufio_engine_ops gate_ops = {
	.submit = gate_submit,
	.transfer = gate_transfer,
	.flush = gate_flush,
	.discard = gate_discard,
	.zero = gate_zero,
	.destroy = gate_destroy,
};

static void setup(void)
{
	struct bufio_options o;
	struct bufio_engine *mem;

	ck_assert_int_eq(bufio_engine_mem_create(NR_BLOCKS * SIZE, 512, &mem), 0);
	atomic_store(&is_written, false);
	gate = (struct gate){.base = *mem, .mem = mem};
	gate.base.ops = &gate_ops;
	pthread_mutex_init(&gate.lock, NULL);
	pthread_cond_init(&gate.changed, NULL);
	bufio_options_init(&o);
	o.dirty_age_ms = 0;
	ck_assert_int_eq(bufio_create(&gate.base, &o, &client), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(&gate.base);
}

static void *flush(void *argument)
{
	*(int *)argument = bufio_write_dirty_buffers(client);
	return NULL;
}

static void wait_arrived(void)
{
	pthread_mutex_lock(&gate.lock);
	while (!gate.arrived)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/*
 * A flush finds one block pinned and is long in writing the other.  Meanwhile the first is written
 * by someone else, and is pinned and dirty again.  So the flush waits for that pin, and finds that
 * it has nothing left to do.
 */
START_TEST(a_flush_with_nothing_left_to_write_keeps_no_pin_away)
{
	struct bufio_buffer *slow, *other;
	pthread_t thread;
	int r = 1;

	ck_assert_int_eq(bufio_read(client, SLOW, &slow), 0);
	ck_assert_int_eq(bufio_read(client, OTHER, &other), 0);
	bufio_mark_dirty(slow);
	bufio_pin(other);
	bufio_mark_dirty(other);
	ck_assert_int_eq(pthread_create(&thread, NULL, flush, &r), 0);
	wait_arrived();
	bufio_unpin(other, false);
	ck_assert_int_eq(bufio_write_range(client, OTHER, 1), 0);
	bufio_pin(other);
	bufio_mark_dirty(other);
	open_gate();
	while (!(atomic_load(&other->state) & ST_FLUSHWAIT))
		sched_yield();
	bufio_unpin(other, true);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
	/* nobody flushes any more */
	bufio_pin(other);
	bufio_unpin(other, true);
	bufio_release(other);
	bufio_release(slow);
}
END_TEST

static void *write_bytes(void *argument)
{
	*(int *)argument = bufio_write_bytes(client, SLOW * SIZE, "new", 3);
	atomic_store(&is_written, true);
	return NULL;
}

static bool is_any_waiting(void)
{
	for (unsigned i = 0; i < NR_WAIT_SHARDS; i++)
		if (atomic_load(&client->wait_shards[i].nr_waiters))
			return true;
	return false;
}

/* The flush waits at the gate with the block in its hands. */
START_TEST(bytes_of_a_block_do_not_change_while_it_is_written)
{
	pthread_t flusher, writer;
	char data[3];
	int r = 1, r1 = 1;

	ck_assert_int_eq(bufio_write_bytes(client, SLOW * SIZE, "old", 3), 0);
	ck_assert_int_eq(pthread_create(&flusher, NULL, flush, &r), 0);
	wait_arrived();
	ck_assert_int_eq(pthread_create(&writer, NULL, write_bytes, &r1), 0);
	while (!atomic_load(&is_written) && !is_any_waiting())
		sched_yield();
	ck_assert(!atomic_load(&is_written));
	open_gate();
	pthread_join(flusher, NULL);
	pthread_join(writer, NULL);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(r1, 0);
	ck_assert_int_eq(bufio_read_bytes(client, SLOW * SIZE, data, 3), 0);
	ck_assert_mem_eq(data, "new", 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flushwait");
	TCase *tc = tcase_create("flushwait");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_flush_with_nothing_left_to_write_keeps_no_pin_away);
	tcase_add_test(tc, bytes_of_a_block_do_not_change_while_it_is_written);
	tcase_set_timeout(tc, 20);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
