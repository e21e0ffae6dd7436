/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that wait for a commit, of groups that are worked on at the same time. */
#include "image.h"

#include <pthread.h>

#include "held.h"
#include "log.h"

#define PLACES 128u /* what the list has when it has grown once */

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);

static struct image i;
static pthread_t me;
static unsigned overtaking; /* calls that come before the next one has the lock */

static void prepare(void)
{
	static const uint8_t map[4096];

	ck_assert_int_eq(held_prepare_locked(i.fs, 0, map), 0);
}

/* The lock is the first thing in struct held. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	unsigned n = overtaking;

	if (n && pthread_equal(pthread_self(), me) && (void *)m == (void *)i.fs->held) {
		overtaking = 0;
		while (n--)
			prepare();
	}
	return __real_pthread_mutex_lock(m);
}

START_TEST(each_run_has_a_place_however_many_come_meanwhile)
{
	struct group *gr;

	image_init_mounted(&i, 64 << 20, 4096);
	gr = &i.fs->groups[0];
	me = pthread_self();
	prepare();
	overtaking = PLACES - 1;
	prepare();
	ck_assert_uint_eq(overtaking, 0);
	/* no two are alike: one that took another's place would be seen in the sums */
	for (uint32_t n = 0; n <= PLACES; n++)
		held_add_locked(i.fs, 0, 100 * n, n + 1, 0);
	ck_assert_uint_eq(held_blocks(i.fs), (PLACES + 1) * (PLACES + 2) / 2);
	held_release(i.fs);
	ck_assert_uint_eq(held_blocks(i.fs), 0);
	ck_assert_uint_eq(gr->nr_held, 0);
	ck_assert_ptr_null(gr->shadow);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("held");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, each_run_has_a_place_however_many_come_meanwhile);
	return image_run("held", cases);
}
