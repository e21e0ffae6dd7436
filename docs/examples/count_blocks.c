/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Count the blocks of a file or device that are not zero.
 *
 *	cc count_blocks.c $(pkg-config --cflags --libs libbufio) -o count_blocks
 *	./count_blocks disk.img
 */
#include <bufio.h>
#include <stdio.h>
#include <string.h>

#define READ_AHEAD 64

static bool is_zero(const char *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static int count(struct bufio_client *c, uint64_t *ret_nr)
{
	uint64_t nr_blocks = bufio_nr_blocks(c);
	struct bufio_buffer *b;
	int r;

	*ret_nr = 0;
	for (uint64_t i = 0; i < nr_blocks; i++) {
		if (i % READ_AHEAD == 0)
			bufio_prefetch(c, i,
				       nr_blocks - i < READ_AHEAD ? nr_blocks - i : READ_AHEAD);
		r = bufio_read(c, i, &b);
		if (r)
			return r;
		*ret_nr += !is_zero(bufio_data(b), bufio_block_bytes(c));
		bufio_release(b);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bufio_engine_options read_only = {.read_only = true};
	struct bufio_options options;
	struct bufio_engine *engine;
	struct bufio_client *client;
	uint64_t nr;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	r = bufio_engine_open(argv[1], &read_only, &engine);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	bufio_options_init(&options);
	r = bufio_create(engine, &options, &client);
	if (!r) {
		r = count(client, &nr);
		bufio_destroy(client);
	}
	bufio_engine_destroy(engine);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	printf("%llu\n", (unsigned long long)nr);
	return 0;
}
