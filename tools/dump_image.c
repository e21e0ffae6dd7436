/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.bufs: open an image for reading; small makers of JSON. */
#include "dump_image.h"

#include "crc.h"
#include "super.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES ((size_t)8 << 20)

static int open_cache(struct image *im)
{
	struct bufio_options o;

	bufio_options_init(&o);
	o.block_bytes = im->c.fs.geo.block_bytes;
	o.cache_bytes = CACHE_BYTES;
	o.limit_bytes = CACHE_BYTES + (1 << 20);
	return bufio_create(im->engine, &o, &im->c.fs.bufio);
}

static int open_super(struct image *im)
{
	int r = super_read(im->engine, &im->super, &im->copy_bad);

	if (r == 0)
		r = super_decode(&im->super, &im->c.fs.geo);
	if (r < 0)
		return r;
	im->c.fs.hash_seed = le64_get(im->super.hash_seed);
	im->c.fs.crc_seed = crc32c(0, im->super.uuid, sizeof(im->super.uuid));
	return open_cache(im);
}

int image_open(const char *path, struct image *im)
{
	struct bufio_engine_options o = {.read_only = true};
	int r;

	memset(im, 0, sizeof(*im));
	im->c.o.mode = CHECK_REPORT;
	r = bufio_engine_open(path, &o, &im->engine);
	if (r < 0)
		return r;
	r = open_super(im);
	if (r < 0)
		bufio_engine_destroy(im->engine);
	return r;
}

void image_close(struct image *im)
{
	bufio_destroy(im->c.fs.bufio);
	bufio_engine_destroy(im->engine);
}

/* Bytes of the UTF-8 character here, 0: none. */
static unsigned utf8_bytes(const uint8_t *s, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	c = s[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* surrogates, and C1 controls, which terminals obey */
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
		return 0;
	return n;
}

struct json_object *json_name(const void *bytes, size_t len)
{
	const uint8_t *s = bytes;
	char *text = malloc(len * 4 + 1), *to = text;
	struct json_object *o;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len;) {
		unsigned n = utf8_bytes(s + i, len - i);

		if (n == 0)
			to += sprintf(to, "\\x%02x", s[i]);
		else if (s[i] == '\\')
			to += sprintf(to, "\\\\");
		else
			to = mempcpy(to, s + i, n);
		i += n ? n : 1;
	}
	o = json_object_new_string_len(text, (int)(to - text));
	free(text);
	return o;
}

void json_put_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void json_put_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}
