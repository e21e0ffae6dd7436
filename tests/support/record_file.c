/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each entry as it is in memory, and behind it its data, if it has some. */
#include "record_file.h"

#include <errno.h>
#include <stdlib.h>

int record_save(struct bufio_engine *record, FILE *f)
{
	size_t nr = bufio_engine_record_count(record);

	for (size_t i = 0; i < nr; i++) {
		const struct bufio_record_entry *e = bufio_engine_record_get(record, i);

		if (fwrite(e, sizeof(*e), 1, f) != 1)
			return -EIO;
		if (e->data && fwrite(e->data, e->size_bytes, 1, f) != 1)
			return -EIO;
	}
	return fflush(f) == 0 ? 0 : -EIO;
}

static int add(struct record_log *log, struct bufio_record_entry *e)
{
	struct bufio_record_entry **more;

	/* doubles at each power of two */
	if (!(log->nr & (log->nr - 1))) {
		more = realloc(log->entries, (log->nr ? log->nr * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		log->entries = more;
	}
	log->entries[log->nr++] = e;
	return 0;
}

static int load_entry(FILE *f, struct bufio_record_entry head, struct record_log *log)
{
	size_t size = head.data ? head.size_bytes : 0;
	struct bufio_record_entry *e = malloc(sizeof(*e) + size);
	int r;

	if (!e)
		return -ENOMEM;
	*e = head;
	if (head.data)
		e->data = e + 1;
	r = size && fread(e + 1, size, 1, f) != 1 ? -EINVAL : add(log, e);
	if (r < 0)
		free(e);
	return r;
}

int record_load(FILE *f, struct record_log *ret_log)
{
	struct record_log log = {.nr = 0};
	struct bufio_record_entry head;
	size_t n;
	int r = 0;

	while (r == 0 && (n = fread(&head, 1, sizeof(head), f)) != 0)
		r = n == sizeof(head) ? load_entry(f, head, &log) : -EINVAL;
	if (r == 0 && ferror(f))
		r = -EIO;
	if (r < 0)
		record_log_finish(&log);
	else
		*ret_log = log;
	return r;
}

void record_log_finish(struct record_log *log)
{
	while (log->nr)
		free(log->entries[--log->nr]);
	free(log->entries);
	log->entries = NULL;
}
