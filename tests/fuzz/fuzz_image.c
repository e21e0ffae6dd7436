/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that lie.  The input is a list of changes to a good image with one of everything, after which the
 * checksums are right again (or not: some changes are raw).  Then
 *	it is mounted and used as it is: any error is good, a crash or a hang is not;
 *	what that left is repaired: in one go, to what a second check has nothing to say about;
 *	it is mounted again: now everything in it works.
 *
 *	fuzz_image [-s SEED] [-n COUNT]		random inputs, each with a number that repeats it
 *	fuzz_image FILE...			inputs kept by libFuzzer, for which LLVMFuzzerTestOneInput() is there
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "craft.h"
#include "fs.h"
#include "xattr.h"
#include "fsck.h"
#include "super.h"

#define EDIT_BYTES   16u
#define MAX_EDITS    40u
#define MAX_SECONDS  20u /* for one input, under sanitizers too */
#define MAX_VISITED  300u
#define MAX_DEPTH    12u
#define CRAFT_BLOCKS 700u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum edit_kind { EDIT_INODE, EDIT_HEADED, EDIT_SUPER, EDIT_RAW, EDIT_FREE, EDIT_NR };

struct edit {
	enum edit_kind kind;
	unsigned bytes, where, offset;
	uint64_t value;
};

static struct edit edit_decode(const uint8_t *p)
{
	return (struct edit){
		.kind = p[0] % EDIT_NR,
		.bytes = 1u << p[1] % 4,
		.where = p[2] | (unsigned)p[3] << 8,
		.offset = p[4] | (unsigned)p[5] << 8,
		.value = bytes_get(p + 8, 8),
	};
}

/* A block that is in use is free for all that bitmap and descriptor say, and so it is taken soon. */
static void free_block(struct craft *c, uint64_t block)
{
	uint32_t group = geo_group_of_block(&c->geo, block);
	uint64_t bit = block - geo_group_start(&c->geo, group);
	unsigned at = DISK_HEAD_BYTES + (unsigned)(bit / 8), slot = DISK_HEAD_BYTES + group * 32;
	uint8_t map[CRAFT_BLOCK], gdt[CRAFT_BLOCK], mask = (uint8_t)(1u << bit % 8);

	craft_peek(c, geo_block_bitmap(&c->geo, group), map);
	if (!geo_is_data(&c->geo, block, 1) || !(map[at] & mask))
		return;
	craft_peek(c, c->block[B_GDT], gdt);
	craft_set_block(c, geo_block_bitmap(&c->geo, group), at, 1, map[at] & ~mask);
	craft_set_block(c, c->block[B_GDT], slot, 4, bytes_get(gdt + slot, 4) + 1);
}

static void edit_apply(struct craft *c, const struct edit *e)
{
	uint64_t headed = c->block[B_GDT + e->where % (B_DATA - B_GDT)];
	uint8_t raw[8];

	switch (e->kind) {
	case EDIT_INODE:
		craft_set_inode(c, e->where % 20 ? 1 + e->where / 20 % I_FREE : I_FAR,
				e->offset % 249, e->bytes, e->value);
		break;
	case EDIT_HEADED:
		craft_set_block(c, headed, e->offset % (e->where & 0x8000 ? 1016 : 120), e->bytes,
				e->value);
		break;
	case EDIT_SUPER:
		craft_set_super(c, 32 + e->offset % (1024 - 40), e->bytes, e->value);
		break;
	case EDIT_FREE:
		free_block(c, e->where % 4 ? headed : c->block[B_DATA] + e->offset % 300);
		break;
	default:
		bytes_put(raw, e->bytes, e->value);
		craft_poke(c, e->where % CRAFT_BLOCKS, e->offset % 1016, raw, e->bytes);
	}
}

static char said[1 << 16]; /* by the checks of this input */

/* Using */

struct use {
	struct fs *fs;
	unsigned nr_visited;
	int worst; /* -EUCLEAN or -EIO, if anything gave that */
};

static void note(struct use *u, long r)
{
	if (r == -EUCLEAN || r == -EIO)
		u->worst = (int)r;
}

struct names {
	char name[32][256];
	unsigned nr;
};

static int take_name(void *context, const struct fs_dirent *e)
{
	struct names *n = context;

	if (n->nr < 32 && strcmp(e->name, ".") && strcmp(e->name, ".."))
		strcpy(n->name[n->nr++], e->name);
	return 0;
}

static void use_space(struct use *u, const struct fs_attr *attr)
{
	static const int modes[] = {FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
	struct fs_copy copy = {attr->ino, 0, attr->ino, attr->size, 10000};
	uint64_t at;

	for (unsigned n = 0; n < 3; n++) {
		note(u, fs_seek_data(u->fs, attr->ino, attr->size / 3, &at));
		note(u, fs_seek_hole(u->fs, attr->ino, attr->size / 3, &at));
		note(u, fs_fallocate(u->fs, attr->ino, modes[n], 700 + n * 2000, 9000));
		note(u, fs_fallocate(u->fs, attr->ino, modes[n], attr->size - 1000, 3000));
	}
	note(u, fs_copy_range(u->fs, &copy));
}

static void use_file(struct use *u, const struct fs_attr *attr)
{
	static uint8_t data[70000];
	struct fs_attr set = {.size = attr->size / 2, .mode = 0640};
	struct fs *fs = u->fs;

	note(u, fs_readlink(fs, attr->ino, (char *)data, 4096));
	note(u, fs_read(fs, attr->ino, 0, data, sizeof(data)));
	note(u, fs_read(fs, attr->ino, attr->size - 100, data, 200));
	note(u, fs_write(fs, attr->ino, 3000, data, 5000));
	note(u, fs_write(fs, attr->ino, attr->size, data, 3));
	use_space(u, attr);
	if (S_ISREG(attr->mode))
		note(u, fs_setattr(fs, attr->ino, &set, FS_SET_SIZE, &set));
	note(u, fs_setattr(fs, attr->ino, &set, FS_SET_MODE | FS_SET_MTIME_NOW, &set));
}

static void use_xattrs(struct use *u, uint64_t ino)
{
	static char list[XATTR_LIST_BYTES], value[XATTR_VALUE_MAX];
	ssize_t n = fs_listxattr(u->fs, ino, list, sizeof(list));
	unsigned nr = 0;

	note(u, n);
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		note(u, fs_getxattr(u->fs, ino, name, value, sizeof(value)));
		if (nr++ % 2)
			note(u, fs_removexattr(u->fs, ino, name));
		else
			note(u,
			     fs_setxattr(u->fs, ino, &(struct fs_xattr){name, value, 700 * nr}, 0));
	}
	note(u, fs_setxattr(u->fs, ino, &(struct fs_xattr){"trusted.new", value, 20}, 0));
	note(u, fs_setxattr(u->fs, ino, &(struct fs_xattr){"trusted.large", value, 3000}, 0));
}

static void use_names(struct use *u, uint64_t dir, const struct names *n)
{
	const struct fs_new what = {.mode = S_IFREG | 0600}, sub = {.mode = S_IFDIR | 0700};
	const struct fs_names whited = {INODE_ROOT, "its other name", dir, "its third name"};
	struct fs *fs = u->fs;
	struct fs_attr attr;
	int r;

	r = fs_make(fs, dir, "a file that was not there", &what, &attr);
	note(u, r);
	if (r == 0) {
		note(u, fs_write(fs, attr.ino, 0, n, 3000));
		note(u, fs_link(fs, attr.ino, dir, "its other name", &attr));
		note(u, fs_rename(fs,
				  &(struct fs_names){dir, "its other name", INODE_ROOT,
						     "its other name"},
				  0));
		note(u, fs_rename_whiteout(fs, &whited, 0, 0, 0));
		note(u, fs_unlink(fs, INODE_ROOT, "its other name"));
		fs_forget(fs, attr.ino, 1);
	}
	r = fs_make(fs, dir, "a directory", &sub, &attr);
	note(u, r);
	if (r == 0 && n->nr) {
		note(u, fs_rename(fs, &(struct fs_names){dir, n->name[0], attr.ino, "moved"}, 0));
		note(u, fs_rename(fs, &(struct fs_names){attr.ino, "moved", dir, n->name[0]}, 0));
		note(u, fs_rename(fs, &(struct fs_names){dir, n->name[0], dir, n->name[n->nr - 1]},
				  RENAME_EXCHANGE));
	}
	note(u, fs_rmdir(fs, dir, "a directory"));
	note(u, fs_unlink(fs, dir, "a file that was not there"));
}

static void use_dir(struct use *u, uint64_t dir, unsigned depth)
{
	struct names *n = calloc(1, sizeof(*n));
	struct fs_attr attr;

	if (!n)
		abort();
	note(u, fs_readdir(u->fs, dir, 0, take_name, n));
	use_names(u, dir, n);
	for (unsigned i = 0; i < n->nr && u->nr_visited < MAX_VISITED; i++) {
		int r = fs_lookup(u->fs, dir, n->name[i], &attr);

		note(u, r);
		u->nr_visited++;
		if (r < 0)
			continue;
		use_xattrs(u, attr.ino);
		if (!S_ISDIR(attr.mode))
			use_file(u, &attr);
		else if (depth < MAX_DEPTH)
			use_dir(u, attr.ino, depth + 1);
		if (i % 3 == 2)
			note(u, fs_unlink(u->fs, dir, n->name[i]));
		fs_forget(u->fs, attr.ino, 1);
	}
	free(n);
}

enum trust { TRUST_NOTHING, TRUST_ALL };

/* Mount and use it.  What was repaired must work without a complaint about the image. */
static void mount_and_use(struct craft *c, enum trust trust)
{
	struct use u = {.nr_visited = 0};
	struct fs_options o;
	struct fs_statfs s;
	int r;

	fs_options_init(&o);
	o.commit_ms = 0;
	o.cache_bytes = 4 << 20;
	o.errors = FS_ERRORS_CONTINUE;
	r = fs_mount(c->engine, &o, &u.fs);
	if (r < 0) {
		if (trust == TRUST_ALL) {
			fprintf(stderr, "mount after repair: %d\n%s", r, said);
			abort();
		}
		return;
	}
	use_dir(&u, INODE_ROOT, 0);
	fs_statfs(u.fs, &s);
	note(&u, fs_sync(u.fs));
	r = fs_unmount(u.fs);
	if (trust == TRUST_ALL && (u.worst || r < 0)) {
		fprintf(stderr, "use after repair: %d, unmount %d\n%s", u.worst, r, said);
		abort();
	}
}

/* Checking */

static void hear(void *context, const struct check_problem *p)
{
	size_t at = strlen(said);

	snprintf(said + at, sizeof(said) - at, "%s: %s\n", p->code, p->text);
}

/* Problems left; UINT64_MAX: there is no filesystem any more. */
static uint64_t check(struct craft *c, enum check_mode mode)
{
	const struct check_options o = {.mode = mode, .problem = hear, .cache_bytes = 4 << 20};
	struct check_result result;
	int r = check_fs(c->engine, &o, &result);

	if (r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT || r == -EUCLEAN || r == -EFBIG)
		return UINT64_MAX;
	if (r < 0) {
		fprintf(stderr, "check: %d\n", r);
		abort();
	}
	return mode == CHECK_REPORT ? result.problems : result.problems - result.repaired;
}

static bool repair(struct craft *c)
{
	uint64_t left;

	said[0] = 0;
	left = check(c, CHECK_REPAIR);
	if (left == UINT64_MAX)
		return false;
	strncat(said, "-- again:\n", sizeof(said) - strlen(said) - 1);
	if (left || check(c, CHECK_REPORT)) {
		fprintf(stderr, "not repaired in one go:\n%s", said);
		abort();
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct craft c;

	craft_create(&c);
	for (size_t i = 0; i + EDIT_BYTES <= size && i < MAX_EDITS * EDIT_BYTES; i += EDIT_BYTES) {
		struct edit e = edit_decode(data + i);

		edit_apply(&c, &e);
	}
	mount_and_use(&c, TRUST_NOTHING);
	if (repair(&c)) {
		mount_and_use(&c, TRUST_ALL);
		if (check(&c, CHECK_REPORT)) {
			fprintf(stderr, "wrong after use:\n%s", said);
			abort();
		}
	}
	craft_destroy(&c);
	return 0;
}

#ifndef LIBFUZZER

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Numbers that are more likely to mean something: limits, small ones, blocks and inodes there are. */
static uint64_t draw_value(uint64_t *state)
{
	static const uint64_t limits[] = {0x7f,
					  0xff,
					  0x7fff,
					  0xffff,
					  INT32_MAX,
					  UINT32_MAX,
					  INT64_MAX,
					  UINT64_MAX,
					  UINT64_C(1) << 47,
					  UINT64_C(1) << 48};
	uint64_t n = next_random(state);

	switch (n % 5) {
	case 0:
		return n >> 3;
	case 1:
		return limits[(n >> 3) % (sizeof(limits) / sizeof(limits[0]))];
	case 2:
		return (n >> 3) % CRAFT_BLOCKS;
	default:
		return (n >> 3) % 20;
	}
}

static size_t draw_input(uint64_t seed, uint8_t data[MAX_EDITS * EDIT_BYTES])
{
	uint64_t state = seed;
	size_t nr = 1 + next_random(&state) % (seed % 4 ? 4 : MAX_EDITS - 1);

	for (size_t i = 0; i < nr; i++) {
		bytes_put(data + i * EDIT_BYTES, 8, next_random(&state));
		bytes_put(data + i * EDIT_BYTES + 8, 8, draw_value(&state));
	}
	return nr * EDIT_BYTES;
}

static uint64_t running;

/* Also from a signal: which input it was. */
static void tell(int signal_number)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "input: fuzz_image -s %llu -n 1\n",
			 (unsigned long long)running);

	if (write(2, text, (size_t)n) == n)
		signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static int run_file(const char *path)
{
	uint8_t data[MAX_EDITS * EDIT_BYTES];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t data[MAX_EDITS * EDIT_BYTES];
	uint64_t seed = (uint64_t)time(NULL) * 1000000, count = 300;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:")) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			count = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	for (int i = optind; i < argc; i++) {
		if (run_file(argv[i]))
			return 1;
	}
	if (optind < argc)
		return 0;
	signal(SIGABRT, tell);
	signal(SIGSEGV, tell);
	signal(SIGALRM, tell);
	for (running = seed; running < seed + count; running++) {
		alarm(MAX_SECONDS);
		LLVMFuzzerTestOneInput(data, draw_input(running, data));
	}
	printf("%llu inputs from seed %llu\n", (unsigned long long)count, (unsigned long long)seed);
	return 0;
}

#endif
