/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Engines over a block device: a loop device, for which one must be root; else skipped. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "engine_fixture.h"

#define MIB	     (1u << 20)
#define DEVICE_BYTES (4 * MIB)

static char file_path[64], device_path[64];
static int device_fd;

/* Open a loop device that is free.  Returns the descriptor or -1. */
static int loop_open(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n;

	if (control < 0)
		return -1;
	n = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (n < 0)
		return -1;
	snprintf(device_path, sizeof(device_path), "/dev/loop%d", n);
	return open(device_path, O_RDWR | O_CLOEXEC);
}

/* The device goes away with the last descriptor. */
static void device_create(unsigned sector_bytes)
{
	struct loop_config config = {
		.block_size = sector_bytes,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};
	int fd;

	fixture_make_file(file_path, DEVICE_BYTES);
	fd = open(file_path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	config.fd = (unsigned)fd;
	device_fd = loop_open();
	ck_assert_int_ge(device_fd, 0);
	ck_assert_int_eq(ioctl(device_fd, LOOP_CONFIGURE, &config), 0);
	close(fd);
	unlink(file_path);
}

static struct bufio_engine *open_kind(int kind, uint64_t offset_bytes)
{
	struct bufio_engine_options o;
	struct bufio_engine *e;

	fixture_options((enum kind)kind, &o);
	o.offset_bytes = offset_bytes;
	ck_assert_int_eq(bufio_engine_open(device_path, &o, &e), 0);
	return e;
}

static void write_pattern(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes,
			  unsigned seed)
{
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(size_bytes, seed);

	request_init(q, BUFIO_OP_WRITE, offset_bytes, data, size_bytes);
	q->io.flags = BUFIO_IO_DURABLE;
	ck_assert_int_eq(request_submit(e, q), 0);
	free(data);
	free(q);
}

START_TEST(sector_is_that_of_the_device)
{
	static const unsigned sectors[] = {512, 4096};
	struct bufio_engine *e;
	char *data = pattern_alloc(4096, 1);

	device_create(sectors[_i / NR_FILE_KINDS]);
	e = open_kind(_i % NR_FILE_KINDS, 0);
	ck_assert_uint_eq(e->sector_bytes, sectors[_i / NR_FILE_KINDS]);
	ck_assert_uint_eq(e->size_bytes, DEVICE_BYTES);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, 512, data, 512),
			 e->sector_bytes == 512 ? 0 : -EINVAL);
	bufio_engine_destroy(e);
	close(device_fd);
	free(data);
}
END_TEST

START_TEST(window_of_a_device_is_written_zeroed_and_discarded)
{
	struct bufio_engine *e, *whole;
	int r;

	device_create(4096);
	whole = open_kind(_i, 0);
	e = open_kind(_i, MIB);
	ck_assert_uint_eq(e->size_bytes, DEVICE_BYTES - MIB);
	write_pattern(whole, 0, MIB, 1);
	write_pattern(e, 0, MIB, 2);
	ck_assert_int_eq(e->ops->flush(e), 0);
	assert_pattern(whole, MIB, MIB, 2);
	ck_assert_int_eq(e->ops->zero(e, 0, 65536), 0);
	r = e->ops->discard(e, 65536, 65536);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	assert_bytes(e, 0, 65536, 0);
	assert_pattern(whole, 0, MIB, 1);
	bufio_engine_destroy(e);
	bufio_engine_destroy(whole);
	close(device_fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine_block");
	TCase *t = tcase_create("all kinds");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, sector_is_that_of_the_device, 0, 2 * NR_FILE_KINDS);
	tcase_add_loop_test(t, window_of_a_device_is_written_zeroed_and_discarded, 0,
			    NR_FILE_KINDS);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner;
	int nr_failed;

	device_fd = loop_open();
	if (device_fd < 0) {
		printf("no loop device\n");
		return TEST_SKIPPED;
	}
	close(device_fd);
	runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
