/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_RECORD_FILE_H
#define TEST_RECORD_FILE_H

/* The log of a record engine in a file, for another program on the same machine. */
#include <bufio_test_engine.h>
#include <stdio.h>

/* 0, or -EIO: the file could not be written. */
int record_save(struct bufio_engine *record, FILE *f);

/* Entries in the order of the log, with their data; each to be freed. */
struct record_log {
	struct bufio_record_entry **entries;
	size_t nr;
};

/* 0, -EIO, -ENOMEM or -EINVAL: it ends in the middle of an entry. */
int record_load(FILE *f, struct record_log *ret_log);
void record_log_finish(struct record_log *log);

#endif
