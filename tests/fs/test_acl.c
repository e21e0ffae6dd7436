/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX ACLs and the mode, their inheritance, and what takes privileges away. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "acl.h"
#include "fsck.h"
#include "inode.h"

#define SIZE	(UINT64_C(16) << 20)
#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static struct image i;

/* An ACL as text, one entry a word: "u7 u5:6 g5 m7 o0"; u, g and o without a number are the owner and so on. */
struct value {
	uint8_t bytes[ACL_MAX_BYTES + 64];
	size_t size;
};

static void add_entry(struct value *v, unsigned tag, unsigned perm, uint32_t id)
{
	struct disk_acl_entry e = {
		.tag = le16_make((uint16_t)tag),
		.perm = le16_make((uint16_t)perm),
		.id = le32_make(id),
	};

	memcpy(v->bytes + v->size, &e, sizeof(e));
	v->size += sizeof(e);
}

static unsigned tag_of(char letter, bool named)
{
	switch (letter) {
	case 'u':
		return named ? ACL_USER : ACL_USER_OBJ;
	case 'g':
		return named ? ACL_GROUP : ACL_GROUP_OBJ;
	case 'm':
		return ACL_MASK;
	default:
		return ACL_OTHER;
	}
}

static struct value value_of(const char *text)
{
	struct value v = {.bytes = {ACL_VERSION}, .size = sizeof(struct disk_acl)};

	while (*text) {
		bool named = text[2] == ':';
		unsigned id = named ? (unsigned)(text[1] - '0') : UINT32_MAX;

		add_entry(&v, tag_of(text[0], named), (unsigned)(text[named ? 3 : 1] - '0'), id);
		text += named ? 4 : 2;
		text += *text == ' ';
	}
	return v;
}

static int set(uint64_t ino, const char *name, const char *text)
{
	struct value v = value_of(text);

	return fs_setxattr(i.fs, ino, &(struct fs_xattr){name, v.bytes, v.size}, 0);
}

/* NULL: it has none. */
static void expect(uint64_t ino, const char *name, const char *text)
{
	struct value want = value_of(text ? text : "");
	uint8_t got[ACL_MAX_BYTES];
	ssize_t n = fs_getxattr(i.fs, ino, name, got, sizeof(got));

	if (!text) {
		ck_assert_int_eq(n, -ENODATA);
		return;
	}
	ck_assert_int_eq(n, (int)want.size);
	ck_assert_mem_eq(got, want.bytes, want.size);
}

static unsigned mode_of(uint64_t ino)
{
	return image_attr(&i, ino).mode & 07777;
}

static void chmod_to(uint64_t ino, unsigned mode)
{
	const struct fs_attr to = {.mode = mode};
	struct fs_attr attr;

	ck_assert_int_eq(fs_setattr(i.fs, ino, &to, FS_SET_MODE, &attr), 0);
	ck_assert_uint_eq(attr.mode & 07777, mode);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static const struct {
	const char *acl;
	unsigned mode;
	bool kept;
} access_acls[] = {
	{"u7 g5 o4", 0754, false},
	{"u0 g0 o0", 0, false},
	{"u6 u5:7 g4 m4 o0", 0640, true},
	{"u6 g7 m1 o2", 0612, true},
	{"u7 g1 g3:5 m5 o1", 0751, true},
	{"u7 u1:1 u2:2 g0 g3:3 g4:4 m7 o0", 0770, true},
	{"u4 u1:7 u1:7 g0 m0 o7", 0407, true},
};

START_TEST(an_access_acl_makes_the_mode)
{
	const char *acl = access_acls[_i].acl;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 04711);
	ck_assert_int_eq(set(ino, ACCESS, acl), 0);
	ck_assert_uint_eq(mode_of(ino), 04000 | access_acls[_i].mode);
	expect(ino, ACCESS, access_acls[_i].kept ? acl : NULL);
	image_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	ck_assert_uint_eq(mode_of(ino), 04000 | access_acls[_i].mode);
	/* one that the mode says as well takes its place; taken away, it leaves the mode */
	ck_assert_int_eq(set(ino, ACCESS, "u6 g6 o6"), 0);
	expect(ino, ACCESS, NULL);
	ck_assert_int_eq(set(ino, ACCESS, "u7 u5:7 g7 m3 o1"), 0);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, ACCESS), 0);
	ck_assert_int_eq(fs_removexattr(i.fs, ino, ACCESS), 0);
	ck_assert_uint_eq(mode_of(ino), 04731);
	finish();
}
END_TEST

static const char *const bad_acls[] = {
	"u7",
	"u7 g7",
	"g7 u7 o7",
	"u7 o7 g7",
	"u7 u5:7 g7 o7",
	"u7 g7 g5:7 o7",
	"u7 g7 u5:7 m7 o7",
	"u7 g7 m7",
	"u7 g7 o7 o7",
	"u7 g7 m7 m7 o7",
	"u7 u7 g7 o7",
	"u8 g7 o7",
	"u7 g5:7 g7 m7 o7",
	"u7 g7 o7 m7",
};

START_TEST(what_is_no_acl_is_refused)
{
	struct value v = value_of("u7 u5:7 g7 m3 o1");
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	for (unsigned n = 0; n < sizeof(bad_acls) / sizeof(bad_acls[0]); n++) {
		ck_assert_int_eq(set(ino, ACCESS, bad_acls[n]), -EINVAL);
		ck_assert_int_eq(set(ino, DEFAULT, bad_acls[n]), -EINVAL);
	}
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, v.size - 1}, 0),
			 -EINVAL);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, 3}, 0),
			 -EINVAL);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, 0}, 0),
			 -EINVAL);
	v.bytes[0] = 1;
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, v.size}, 0),
			 -EINVAL);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, ACL_MAX_BYTES + 4}, 0),
		-E2BIG);
	expect(ino, ACCESS, NULL);
	expect(ino, DEFAULT, NULL);
	ck_assert_uint_eq(mode_of(ino), 0755);
	finish();
}
END_TEST

START_TEST(acls_are_for_what_can_have_them)
{
	uint64_t file, link, fifo;

	image_init_mounted(&i, SIZE, 4096);
	file = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	link = image_make(&i, INODE_ROOT, "l", S_IFLNK | 0777);
	fifo = image_make(&i, INODE_ROOT, "p", S_IFIFO | 0644);
	ck_assert_int_eq(set(file, DEFAULT, "u7 g7 o7"), -EACCES);
	ck_assert_int_eq(set(file, DEFAULT, ""), 0);
	ck_assert_int_eq(set(link, ACCESS, "u7 g7 o7"), -EOPNOTSUPP);
	ck_assert_int_eq(set(link, DEFAULT, "u7 g7 o7"), -EOPNOTSUPP);
	ck_assert_int_eq(set(fifo, ACCESS, "u6 u5:6 g0 m6 o0"), 0);
	ck_assert_uint_eq(mode_of(fifo), 0660);
	/* without entries it goes */
	ck_assert_int_eq(set(fifo, ACCESS, ""), 0);
	expect(fifo, ACCESS, NULL);
	ck_assert_uint_eq(mode_of(fifo), 0660);
	finish();
}
END_TEST

START_TEST(chmod_changes_the_mask_or_the_group)
{
	uint64_t ino;

	image_init_mounted(&i, SIZE, 4096);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	ck_assert_int_eq(set(ino, ACCESS, "u6 u5:7 g4 m7 o0"), 0);
	chmod_to(ino, 0512);
	expect(ino, ACCESS, "u5 u5:7 g4 m1 o2");
	chmod_to(ino, 06777);
	expect(ino, ACCESS, "u7 u5:7 g4 m7 o7");
	ck_assert_int_eq(fs_removexattr(i.fs, ino, ACCESS), 0);
	chmod_to(ino, 0600);
	expect(ino, ACCESS, NULL);
	/* a default ACL is no one's mode */
	ino = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	ck_assert_int_eq(set(ino, DEFAULT, "u6 u5:7 g4 m7 o0"), 0);
	ck_assert_uint_eq(mode_of(ino), 0755);
	chmod_to(ino, 0700);
	expect(ino, DEFAULT, "u6 u5:7 g4 m7 o0");
	finish();
}
END_TEST

static const struct {
	const char *of_dir;
	unsigned mode, umask, want;
	const char *access; /* NULL: none */
} inherited[] = {
	{NULL, 0666, 022, 0644, NULL},
	{NULL, 06777, 027, 06750, NULL},
	{"u7 g5 o5", 0666, 077, 0644, NULL},
	{"u7 g5 o0", 0777, 077, 0750, NULL},
	{"u4 g4 o4", 04711, 0, 04400, NULL},
	{"u7 u5:7 g5 m7 o0", 0640, 077, 0640, "u6 u5:7 g5 m4 o0"},
	{"u7 u5:7 g5 m7 o0", 0666, 0, 0660, "u6 u5:7 g5 m6 o0"},
	{"u5 g7 m6 o1", 0777, 0777, 0561, "u5 g7 m6 o1"},
	{"u7 g1 g3:5 m5 o1", 0, 0, 0, "u0 g1 g3:5 m0 o0"},
};
#define NR_INHERITED (int)(sizeof(inherited) / sizeof(inherited[0]))

START_TEST(what_is_made_inherits_the_default_acl_or_obeys_the_umask)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFIFO, S_IFCHR};
	uint32_t type = types[_i % 4];
	const char *of_dir = inherited[_i / 4].of_dir;
	const struct fs_new what = {.mode = type | inherited[_i / 4].mode,
				    .umask = inherited[_i / 4].umask};
	struct fs_attr attr;
	uint64_t dir, ino;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	if (of_dir)
		ck_assert_int_eq(set(dir, DEFAULT, of_dir), 0);
	ck_assert_int_eq(fs_make(i.fs, dir, "new", &what, &attr), 0);
	ck_assert_uint_eq(attr.mode & 07777, inherited[_i / 4].want);
	ck_assert_int_eq(attr.ctime.tv_nsec, attr.btime.tv_nsec);
	image_remount(&i);
	ino = image_lookup(&i, image_lookup(&i, INODE_ROOT, "d"), "new");
	ck_assert_uint_eq(mode_of(ino), inherited[_i / 4].want);
	expect(ino, ACCESS, inherited[_i / 4].access);
	expect(ino, DEFAULT, type == S_IFDIR ? of_dir : NULL);
	/* and on to the next */
	if (type == S_IFDIR) {
		ck_assert_uint_eq(image_attr(&i, ino).nlink, 2);
		image_make(&i, ino, "below", S_IFDIR | 0777);
		expect(image_lookup(&i, ino, "below"), DEFAULT, of_dir);
	}
	finish();
}
END_TEST

START_TEST(a_symlink_inherits_nothing)
{
	const struct fs_new what = {.mode = S_IFLNK | 0777, .target = "t", .umask = 077};
	struct fs_attr attr;
	uint64_t dir;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	ck_assert_int_eq(set(dir, DEFAULT, "u7 u5:7 g5 m7 o0"), 0);
	ck_assert_int_eq(fs_make(i.fs, dir, "l", &what, &attr), 0);
	ck_assert_uint_eq(attr.mode & 07777, 0777);
	ck_assert_int_eq(fs_listxattr(i.fs, attr.ino, NULL, 0), 0);
	finish();
}
END_TEST

/* As large as they may be: outside of the inode, outside even of a block of records. */
static struct value large_acl(void)
{
	struct value v = value_of("u7");

	for (unsigned n = 0; v.size + 4 * sizeof(struct disk_acl_entry) <= ACL_MAX_BYTES; n++)
		add_entry(&v, ACL_USER, 6, n);
	add_entry(&v, ACL_GROUP_OBJ, 5, UINT32_MAX);
	add_entry(&v, ACL_MASK, 7, UINT32_MAX);
	add_entry(&v, ACL_OTHER, 5, UINT32_MAX);
	return v;
}

START_TEST(the_largest_acl_is_inherited_and_follows_chmod)
{
	struct value v = large_acl();
	uint8_t got[ACL_MAX_BYTES];
	uint64_t dir, sub;

	image_init_mounted(&i, SIZE, _i ? 1024 : 4096);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	ck_assert_int_eq(fs_setxattr(i.fs, dir, &(struct fs_xattr){DEFAULT, v.bytes, v.size}, 0),
			 0);
	sub = image_make(&i, dir, "sub", S_IFDIR | 0750);
	ck_assert_uint_eq(mode_of(sub), 0750);
	chmod_to(sub, 0731);
	ck_assert_int_eq(fs_getxattr(i.fs, sub, ACCESS, got, sizeof(got)), (int)v.size);
	ck_assert_int_eq(got[v.size - 14], 3);
	ck_assert_int_eq(got[v.size - 6], 1);
	ck_assert_int_eq(fs_getxattr(i.fs, sub, DEFAULT, got, sizeof(got)), (int)v.size);
	ck_assert_mem_eq(got, v.bytes, v.size);
	finish();
}
END_TEST

/* The inherited ACL is part of making the file: without space for it there is no file. */
START_TEST(without_space_for_the_acl_nothing_is_made)
{
	static const uint8_t big[SIZE / 2 - (3 << 20)];
	const struct fs_new what = {.mode = S_IFREG | 0644};
	struct value v = large_acl();
	struct fs_attr attr;
	unsigned n = 0;
	uint64_t dir;
	char name[8];
	int r = 0;

	image_init_mounted(&i, SIZE / 2, 1024);
	dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0755);
	ck_assert_int_eq(fs_setxattr(i.fs, dir, &(struct fs_xattr){DEFAULT, v.bytes, v.size}, 0),
			 0);
	image_write(&i, image_make(&i, INODE_ROOT, "big", S_IFREG | 0644), 0, big, sizeof(big));
	while (r == 0) {
		snprintf(name, sizeof(name), "%u", n++);
		r = fs_make(i.fs, dir, name, &what, &attr);
		if (r == 0)
			fs_forget(i.fs, attr.ino, 1);
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_ne(image_statfs(&i).free_inodes, 0);
	ck_assert_int_eq(fs_lookup(i.fs, dir, name, &attr), -ENOENT);
	ck_assert_int_eq(fs_removexattr(i.fs, dir, DEFAULT), 0);
	ck_assert_int_eq(fs_make(i.fs, dir, name, &what, &attr), 0);
	finish();
}
END_TEST

static const struct {
	unsigned mode, mask, want;
} kills[] = {
	{06755, FS_SET_KILL_PRIVS, 0755},
	{06745, FS_SET_KILL_PRIVS, 02745},
	{06745, FS_SET_KILL_PRIVS | FS_SET_KILL_SGID, 0745},
	{01777, FS_SET_KILL_PRIVS | FS_SET_KILL_SGID, 01777},
	{06755, FS_SET_UID, 06755},
	{06755, FS_SET_UID | FS_SET_KILL_PRIVS, 0755},
	{06755, FS_SET_SIZE | FS_SET_KILL_PRIVS, 0755},
};

START_TEST(privileges_go_as_asked)
{
	const struct fs_attr to = {.uid = 77, .size = 3};
	bool caps = !(kills[_i].mask & FS_SET_KILL_PRIVS);
	struct fs_attr attr;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | kills[_i].mode);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"security.capability", "12345", 5}, 0),
		0);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){"security.other", "12345", 5}, 0), 0);
	ck_assert_int_eq(fs_setattr(i.fs, ino, &to, kills[_i].mask, &attr), 0);
	ck_assert_uint_eq(attr.mode & 07777, kills[_i].want);
	ck_assert_uint_eq(attr.size, kills[_i].mask & FS_SET_SIZE ? 3 : 0);
	ck_assert_uint_eq(attr.uid, kills[_i].mask & FS_SET_UID ? 77 : 1);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "security.capability", NULL, 0),
			 caps ? 5 : -ENODATA);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "security.other", NULL, 0), 5);
	finish();
}
END_TEST

START_TEST(setgid_goes_with_a_new_acl_if_asked)
{
	struct value v = value_of("u7 u5:7 g7 m7 o1");
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 06755);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, v.size}, 0), 0);
	ck_assert_uint_eq(mode_of(ino), 06771);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, v.size},
				     FS_XATTR_KILL_SGID),
			 0);
	ck_assert_uint_eq(mode_of(ino), 04771);
	finish();
}
END_TEST

static void count_bad_attributes(void *context, const struct check_problem *p)
{
	unsigned *nr = context;

	*nr += !strcmp(p->code, "xattr-block-bad");
}

static unsigned check_and_repair(enum check_mode mode)
{
	unsigned nr = 0;
	const struct check_options o = {
		.mode = mode, .problem = count_bad_attributes, .context = &nr};
	struct check_result result;

	ck_assert_int_eq(check_fs(i.engine, &o, &result), 0);
	if (mode == CHECK_REPAIR)
		ck_assert_uint_eq(result.problems, result.repaired);
	return nr;
}

/* As a record it is good, and so is its block. */
START_TEST(an_acl_that_is_none_is_found_by_the_check)
{
	struct value v = value_of("u7 u1:7 u2:7 u3:7 g7 m7 o7");
	const struct fs_attr to = {.mode = 0600};
	struct disk_inode d;
	struct fs_attr attr;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	/* no room for it in the inode */
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){"user.a", v.bytes, 100}, 0), 0);
	ck_assert_int_eq(fs_setxattr(i.fs, ino, &(struct fs_xattr){ACCESS, v.bytes, v.size}, 0), 0);
	image_unmount(&i);
	image_peek(&i, geo_inode_block(&i.geo, ino), geo_inode_offset(&i.geo, ino), &d, sizeof(d));
	image_break(&i, le64_get(d.xattr_block), 48 + 8 + 4, 9);
	image_mount(&i);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "f", &attr), 0);
	ck_assert_int_eq(fs_setattr(i.fs, ino, &to, FS_SET_MODE, &attr), -EUCLEAN);
	image_unmount(&i);
	ck_assert_uint_eq(check_and_repair(CHECK_REPORT), 1);
	ck_assert_uint_eq(check_and_repair(CHECK_REPAIR), 1);
	image_mount(&i);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "f", &attr), 0);
	ck_assert_int_eq(fs_setattr(i.fs, ino, &to, FS_SET_MODE, &attr), 0);
	expect(ino, ACCESS, NULL);
	ck_assert_int_eq(fs_getxattr(i.fs, ino, "user.a", NULL, 0), 100);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("acl");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, an_access_acl_makes_the_mode, 0,
			    sizeof(access_acls) / sizeof(access_acls[0]));
	tcase_add_test(tc, what_is_no_acl_is_refused);
	tcase_add_test(tc, acls_are_for_what_can_have_them);
	tcase_add_test(tc, chmod_changes_the_mask_or_the_group);
	tcase_add_loop_test(tc, what_is_made_inherits_the_default_acl_or_obeys_the_umask, 0,
			    4 * NR_INHERITED);
	tcase_add_test(tc, a_symlink_inherits_nothing);
	tcase_add_loop_test(tc, the_largest_acl_is_inherited_and_follows_chmod, 0, 2);
	tcase_add_test(tc, without_space_for_the_acl_nothing_is_made);
	tcase_add_loop_test(tc, privileges_go_as_asked, 0, sizeof(kills) / sizeof(kills[0]));
	tcase_add_test(tc, setgid_goes_with_a_new_acl_if_asked);
	tcase_add_test(tc, an_acl_that_is_none_is_found_by_the_check);
	return image_run("acl", cases);
}
