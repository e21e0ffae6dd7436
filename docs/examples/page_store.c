/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A persistent key-value store in a file: a hash table of pages, a key in one of the pages that
 * follow the one it hashes to.  Each page has a checksum, stamped on its way to the disk and
 * checked on its way in.
 *
 *	cc page_store.c $(pkg-config --cflags --libs libbufio) -o page_store
 *	truncate -s 1M store; ./page_store store set colour blue; ./page_store store get colour
 *
 * A file of zeroes is an empty store.  There is no journal: a power cut during set may leave
 * that one page bad, which get then says.
 */
#include <bufio.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES 4096
#define TEXT_BYTES 60

struct entry {
	char key[TEXT_BYTES + 4], value[TEXT_BYTES + 4]; /* key[0] 0: free */
};

#define NR_ENTRIES ((PAGE_BYTES - 8) / sizeof(struct entry))

struct page {
	uint64_t sum;
	struct entry entries[NR_ENTRIES];
};

/* FNV-1a */
static uint64_t hash(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (size--)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t page_sum(const struct page *p)
{
	return hash(p->entries, sizeof(p->entries));
}

static bool page_is_empty(const struct page *p)
{
	const char *bytes = (const char *)p;

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, sizeof(*p) - 1) == 0;
}

static int verify(void *context, struct bufio_buffer *b)
{
	const struct page *p = bufio_data(b);

	return p->sum == page_sum(p) || page_is_empty(p) ? 0 : -EBADMSG;
}

static void prepare(void *context, struct bufio_buffer *b)
{
	struct page *p = bufio_data(b);

	p->sum = page_sum(p);
}

/* Hold the page that has the key or, if there is none, has room for it.  -ENOSPC: neither. */
static int find(struct bufio_client *c, const char *key, struct bufio_buffer **ret_buffer,
		struct entry **ret_entry)
{
	uint64_t nr_pages = bufio_nr_blocks(c), first = hash(key, strlen(key));
	int r;

	for (uint64_t i = 0; i < nr_pages; i++) {
		struct bufio_buffer *b;
		struct page *p;

		r = bufio_read(c, (first + i) % nr_pages, &b);
		if (r)
			return r;
		p = bufio_data(b);
		for (size_t k = 0; k < NR_ENTRIES; k++) {
			struct entry *e = &p->entries[k];

			if (!e->key[0] || strcmp(e->key, key) == 0) {
				*ret_buffer = b;
				*ret_entry = e;
				return 0;
			}
		}
		bufio_release(b);
	}
	return -ENOSPC;
}

static int get(struct bufio_client *c, const char *key)
{
	struct bufio_buffer *b;
	struct entry *e;
	int r = find(c, key, &b, &e);

	if (r)
		return r == -ENOSPC ? -ENOENT : r;
	if (e->key[0])
		puts(e->value);
	else
		r = -ENOENT;
	bufio_release(b);
	return r;
}

/* The pin keeps a page from being written between its two changes. */
static int set(struct bufio_client *c, const char *key, const char *value)
{
	struct bufio_buffer *b;
	struct entry *e;
	int r;

	if (!key[0] || strlen(key) > TEXT_BYTES || strlen(value) > TEXT_BYTES)
		return -EINVAL;
	r = find(c, key, &b, &e);
	if (r)
		return r;
	bufio_pin(b);
	strcpy(e->key, key);
	strcpy(e->value, value);
	bufio_unpin(b, true);
	bufio_release(b);
	return bufio_write_dirty_buffers(c);
}

static int run(struct bufio_client *c, int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[2], "get") == 0)
		return get(c, argv[3]);
	return set(c, argv[3], argv[4]);
}

int main(int argc, char **argv)
{
	static const struct bufio_callbacks callbacks = {.verify = verify, .prepare = prepare};
	struct bufio_options options;
	struct bufio_engine *engine;
	struct bufio_client *client;
	int r;

	if (!(argc == 4 && strcmp(argv[2], "get") == 0) &&
	    !(argc == 5 && strcmp(argv[2], "set") == 0)) {
		fprintf(stderr, "usage: %s FILE get KEY | set KEY VALUE\n", argv[0]);
		return 2;
	}
	r = bufio_engine_open(argv[1], NULL, &engine);
	if (r)
		goto fail;
	bufio_options_init(&options);
	options.block_bytes = PAGE_BYTES;
	options.callbacks = &callbacks;
	r = bufio_create(engine, &options, &client);
	if (!r) {
		int r1;

		r = run(client, argc, argv);
		r1 = bufio_destroy(client);
		r = r ? r : r1;
	}
	bufio_engine_destroy(engine);
	if (!r)
		return 0;
fail:
	fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
	return 1;
}
