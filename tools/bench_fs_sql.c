/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SQLite: one row to a transaction, each durable. */
#include "bench_fs.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_SQLITE
#include <sqlite3.h>

static void statement(sqlite3 *db, const char *text)
{
	char *message = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &message) == SQLITE_OK)
		return;
	fprintf(stderr, "bench_fs.bufs: %s: %s\n", text, message);
	exit(1);
}

static void inserts(const char *journal, uint64_t ms)
{
	char name[64], text[256];
	uint64_t ns, nr = 0;
	sqlite3 *db;

	snprintf(name, sizeof(name), "%s.db", journal);
	must(sqlite3_open(name, &db) == SQLITE_OK, name);
	snprintf(text, sizeof(text), "PRAGMA journal_mode=%s; PRAGMA synchronous=FULL;", journal);
	statement(db, text);
	statement(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)");
	ns = now_ns();
	for (; now_ns() < ns + ms * 1000000; nr++)
		statement(db,
			  "INSERT INTO t (text) VALUES ('a hundred bytes or so, which is what a "
			  "row of a table often has, more or less, in many programs')");
	ns = now_ns() - ns;
	sqlite3_close(db);
	snprintf(name, sizeof(name), "sqlite_%s", journal);
	print_rate(name, (double)nr, ns);
}

void bench_sql(uint64_t ms)
{
	inserts("delete", ms);
	inserts("wal", ms);
}

#else

void bench_sql(uint64_t ms)
{
	fprintf(stderr, "bench_fs.bufs: built without SQLite\n");
	exit(1);
}

#endif
