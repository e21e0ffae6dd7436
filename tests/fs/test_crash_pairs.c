/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operation alone and every ordered pair of them over a small namespace, with every way to
 * make it durable at every place, cut everywhere.  The bounded black-box method.
 */
#include "crash_fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE (700u << 10)

enum op {
	CREATE,
	MKDIR,
	FIFO,
	SYMLINK,
	SYMLINK_LONG,
	LINK,
	LINK_OTHER_DIR,
	UNLINK,
	UNLINK_SMALL,
	UNLINK_OTHER,
	RMDIR,
	RENAME,
	RENAME_OVER,
	RENAME_DIR,
	RENAME_DIR_OVER,
	RENAME_BACK,
	EXCHANGE,
	CHMOD,
	CUT,
	CUT_TO_NOTHING,
	LENGTHEN,
	APPEND,
	APPEND_SMALL,
	APPEND_MUCH,
	OVERWRITE,
	WRITE_HOLE,
	GROW_INLINE,
	NR_OPS,
};

static const char *const op_names[NR_OPS] = {
	"create",      "mkdir",		 "fifo",	 "symlink",	 "symlink_long",
	"link",	       "link_other_dir", "unlink",	 "unlink_small", "unlink_other",
	"rmdir",       "rename",	 "rename_over",	 "rename_dir",	 "rename_dir_over",
	"rename_back", "exchange",	 "chmod",	 "cut",		 "cut_to_nothing",
	"lengthen",    "append",	 "append_small", "append_much",	 "overwrite",
	"write_hole",  "grow_inline",
};

/*
 * /A/foo: 3000 bytes in blocks; /A/bar: 20 bytes inline; /B/foo: 100 bytes inline; /A/empty and
 * /B/empty: directories.
 */
static void populate(struct fs *fs)
{
	ck_assert_int_eq(do_make(fs, "/A", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/foo", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/bar", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B/foo", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/A/empty", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(fs, "/B/empty", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_write(fs, "/A/foo", 0, 3000, 'f'), 0);
	ck_assert_int_eq(do_write(fs, "/A/bar", 0, 20, 'b'), 0);
	ck_assert_int_eq(do_write(fs, "/B/foo", 0, 100, 'B'), 0);
}

static uint64_t size_of(struct fs *fs, const char *path)
{
	struct fs_attr a = {.size = 0};
	uint64_t ino = path_ino(fs, path);

	if (ino && fs_getattr(fs, ino, &a) < 0)
		return 0;
	return a.size;
}

static int append(struct fs *fs, const char *path, size_t size, char fill)
{
	return do_write(fs, path, size_of(fs, path), size, fill);
}

/* Some fail after some others: that is a step too. */
static int run(struct fs *fs, enum op op, char fill)
{
	static char far_away[600];

	memset(far_away, 'l', sizeof(far_away) - 1);
	switch (op) {
	case CREATE:
		return do_make(fs, "/A/new", S_IFREG | 0600, NULL);
	case MKDIR:
		return do_make(fs, "/A/dir", S_IFDIR | 0700, NULL);
	case FIFO:
		return do_make(fs, "/B/fifo", S_IFIFO | 0600, NULL);
	case SYMLINK:
		return do_make(fs, "/A/link", S_IFLNK | 0777, "foo");
	case SYMLINK_LONG:
		return do_make(fs, "/A/link", S_IFLNK | 0777, far_away);
	case LINK:
		return do_link(fs, "/A/foo", "/A/hard");
	case LINK_OTHER_DIR:
		return do_link(fs, "/A/foo", "/B/hard");
	case UNLINK:
		return do_unlink(fs, "/A/foo");
	case UNLINK_SMALL:
		return do_unlink(fs, "/A/bar");
	case UNLINK_OTHER:
		return do_unlink(fs, "/B/foo");
	case RMDIR:
		return do_rmdir(fs, "/A/empty");
	case RENAME:
		return do_rename(fs, "/A/foo", "/B/moved", 0);
	case RENAME_OVER:
		return do_rename(fs, "/B/foo", "/A/foo", 0);
	case RENAME_DIR:
		return do_rename(fs, "/A/empty", "/B/dir", 0);
	case RENAME_DIR_OVER:
		return do_rename(fs, "/A/empty", "/B/empty", 0);
	case RENAME_BACK:
		return do_rename(fs, "/B/moved", "/A/foo", 0);
	case EXCHANGE:
		return do_rename(fs, "/A/foo", "/B/foo", RENAME_EXCHANGE);
	case CHMOD:
		return do_chmod(fs, "/A/foo", 0600);
	case CUT:
		return do_truncate(fs, "/A/foo", 1500);
	case CUT_TO_NOTHING:
		return do_truncate(fs, "/A/foo", 0);
	case LENGTHEN:
		return do_truncate(fs, "/A/foo", 5000);
	case APPEND:
		return append(fs, "/A/foo", 2000, fill);
	case APPEND_SMALL:
		return append(fs, "/A/bar", 30, fill);
	case APPEND_MUCH:
		return append(fs, "/A/foo", 40000, fill);
	case OVERWRITE:
		return do_write(fs, "/A/foo", 500, 1500, fill);
	case WRITE_HOLE:
		return do_write(fs, "/A/foo", 9000, 1200, fill);
	case GROW_INLINE:
		return append(fs, "/B/foo", 900, fill);
	default:
		return -EINVAL;
	}
}

enum persist {
	PERSIST_NONE,
	PERSIST_FSYNC_FOO,
	PERSIST_FDATASYNC_FOO,
	PERSIST_FSYNC_DIR,
	PERSIST_SYNC,
	NR_PERSIST,
};

/*
 * All of it is one log, so a sync of anything that has changed makes all before durable; one of
 * something that has not, nothing.  What is known for sure is only that of sync().
 */
static bool persist(struct fs *fs, enum persist how)
{
	switch (how) {
	case PERSIST_FSYNC_FOO:
		ck_assert_int_le(do_fsync(fs, "/A/foo", false), 0);
		return false;
	case PERSIST_FDATASYNC_FOO:
		ck_assert_int_le(do_fsync(fs, "/A/foo", true), 0);
		return false;
	case PERSIST_FSYNC_DIR:
		ck_assert_int_eq(do_fsync(fs, "/A", false), 0);
		return false;
	case PERSIST_SYNC:
		ck_assert_int_eq(fs_sync(fs), 0);
		return true;
	default:
		return false;
	}
}

static uint64_t nr_images, nr_recuts, nr_worlds;

static void begin(struct world *w)
{
	world_init(w, SIZE, 128 << 10);
	populate(w->fs);
	world_begin(w);
}

static void step(struct world *w, enum op op, enum persist how, char fill)
{
	w->in_place |= op == OVERWRITE || op == APPEND || op == APPEND_SMALL || op == APPEND_MUCH;
	run(w->fs, op, fill);
	world_step(w, false);
	if (how == PERSIST_NONE)
		return;
	world_step(w, persist(w->fs, how));
}

static void finish(struct world *w)
{
	world_finish(w);
	nr_images += w->nr_images;
	nr_recuts += w->nr_recuts;
	nr_worlds++;
}

/* How much: 1 in the ordinary run; CRASH_LONG=1 takes all. */
static bool takes(unsigned n, unsigned of)
{
	return getenv("CRASH_LONG") || n % of == 0;
}

START_TEST(every_operation_alone)
{
	for (unsigned how = 0; how < NR_PERSIST; how++) {
		struct world w;

		begin(&w);
		w.recut_every = 50;
		snprintf(w.name, sizeof(w.name), "%s, persist %u", op_names[_i], how);
		step(&w, (enum op)_i, (enum persist)how, 'x');
		finish(&w);
	}
	printf("crash: %llu images, %llu of them of recoveries, of %llu programs\n",
	       (unsigned long long)(nr_images + nr_recuts), (unsigned long long)nr_recuts,
	       (unsigned long long)nr_worlds);
}
END_TEST

START_TEST(every_pair)
{
	for (unsigned second = 0; second < NR_OPS; second++) {
		unsigned nr = NR_PERSIST * NR_PERSIST;

		for (unsigned how = 0; how < nr; how++) {
			struct world w;

			if (!takes((unsigned)_i * 7 + second * 3 + how, 12))
				continue;
			begin(&w);
			w.nr_random = 8;
			snprintf(w.name, sizeof(w.name), "%s, persist %u, %s, persist %u",
				 op_names[_i], how % NR_PERSIST, op_names[second],
				 how / NR_PERSIST);
			step(&w, (enum op)_i, (enum persist)(how % NR_PERSIST), 'x');
			step(&w, (enum op)second, (enum persist)(how / NR_PERSIST), 'y');
			finish(&w);
		}
	}
	printf("crash: %llu images of %llu programs\n", (unsigned long long)nr_images,
	       (unsigned long long)nr_worlds);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pairs");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, every_operation_alone, 0, NR_OPS);
	tcase_add_loop_test(tc, every_pair, 0, NR_OPS);
	return image_run("crash_pairs", cases);
}
