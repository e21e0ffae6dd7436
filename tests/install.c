/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program of somebody else: writes blocks of a file through the installed libbufio and finds them again. */
#include <bufio.h>
#include <bufio_engine.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NR_BLOCKS 64

static int write_all(struct bufio_client *c)
{
	for (uint64_t i = 0; i < NR_BLOCKS; i++) {
		struct bufio_buffer *b;
		int r = bufio_new(c, i, &b);

		if (r < 0)
			return r;
		memset(bufio_data(b), (int)i, bufio_block_bytes(c));
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	return bufio_write_dirty_buffers(c);
}

static int with_cache(const char *path, int (*use)(struct bufio_client *c))
{
	struct bufio_engine_options eo = {.read_only = false};
	struct bufio_options o;
	struct bufio_engine *e;
	struct bufio_client *c;
	int r = bufio_engine_open(path, &eo, &e), r2;

	if (r < 0)
		return r;
	bufio_options_init(&o);
	r = bufio_create(e, &o, &c);
	if (r == 0) {
		r = use(c);
		r2 = bufio_destroy(c);
		r = r < 0 ? r : r2;
	}
	bufio_engine_destroy(e);
	return r;
}

static int is_there(const char *path)
{
	unsigned char byte;
	int fd = open(path, O_RDONLY), good = 1;

	for (int i = 0; i < NR_BLOCKS; i++)
		good &= pread(fd, &byte, 1, i * 4096 + 4095) == 1 && byte == i;
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	int fd, r;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, NR_BLOCKS * 4096) < 0)
		return 2;
	close(fd);
	r = with_cache(argv[1], write_all);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
	return r < 0 || !is_there(argv[1]);
}
