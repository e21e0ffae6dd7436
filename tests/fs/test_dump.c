/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The programs dump.bufs and fsck.bufs on an image file: what they print, and their exit codes.
 * Arguments: the paths of the two programs.
 */
#include <check.h>
#include <fcntl.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "craft.h"

#define OUTPUT_BYTES (1u << 20)

static const char *dump_path, *fsck_path;
static struct craft craft;
static char image[] = "/tmp/bufs-dump-XXXXXX";
static char output[OUTPUT_BYTES];

/* The crafted image as it is now becomes the file. */
static void save(void)
{
	size_t size = craft.geo.nr_blocks << craft.geo.block_shift;
	uint8_t *data = malloc(size);
	int fd = open(image, O_WRONLY);

	ck_assert_ptr_nonnull(data);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bufio_engine_mem_peek(craft.engine, 0, data, size), 0);
	ck_assert_int_eq(pwrite(fd, data, size, 0), (ssize_t)size);
	close(fd);
	free(data);
}

static void setup(void)
{
	int fd;

	strcpy(image + strlen(image) - 6, "XXXXXX");
	fd = mkstemp(image);
	ck_assert_int_ge(fd, 0);
	close(fd);
	craft_create(&craft);
	save();
}

static void teardown(void)
{
	unlink(image);
	craft_destroy(&craft);
}

/* Run a program on the image; the exit code, and what it printed in output. */
static int run(const char *program, const char *options, const char *what)
{
	char command[1024];
	size_t size;
	FILE *f;
	int status;

	snprintf(command, sizeof(command), "timeout 60 %s %s %s %s </dev/null 2>&1", program,
		 options, image, what);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	size = fread(output, 1, sizeof(output) - 1, f);
	output[size] = 0;
	status = pclose(f);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_says(const char *text)
{
	ck_assert_msg(strstr(output, text), "\"%s\" is not in:\n%s", text, output);
}

START_TEST(dump_shows_each_structure)
{
	ck_assert_int_eq(run(dump_path, "", "super"), 0);
	assert_says("label: crafted\n");
	assert_says("nr_groups: 2\n");
	ck_assert_int_eq(run(dump_path, "", "groups group 1"), 0);
	assert_says("group=1");
	assert_says("inode_table: 7939\n");
	ck_assert_int_eq(run(dump_path, "", "path /dir/sub"), 0);
	assert_says("inode: 15\n");
	assert_says("parent: 6\n");
	ck_assert_int_eq(run(dump_path, "", "dir 1"), 0);
	assert_says("name=prealloc");
	ck_assert_int_eq(run(dump_path, "", "extents 4"), 0);
	assert_says("logical=138");
	ck_assert_int_eq(run(dump_path, "", "xattrs 12"), 0);
	assert_says("name=user.tail bytes=7 value=vvvvvvv\n");
	assert_says("name=user.second block=");
	assert_says("name=trusted.external block=");
	assert_says("bytes=1500 value=wwww");
	ck_assert_int_eq(run(dump_path, "", "block 1"), 0);
	assert_says("magic: bGDT\n");
	ck_assert_int_eq(run(dump_path, "", "log"), 0);
	assert_says("tail_seq: 1\n");
	ck_assert_int_eq(run(dump_path, "", "inode 9"), 0);
	assert_says("target: xxx");
}
END_TEST

START_TEST(dump_json_can_be_parsed)
{
	struct json_object *o, *entries, *name;

	ck_assert_int_eq(run(dump_path, "--json", "dir 7"), 0);
	o = json_tokener_parse(output);
	ck_assert_ptr_nonnull(o);
	ck_assert(json_object_object_get_ex(o, "entries", &entries));
	ck_assert_uint_eq(json_object_array_length(entries), 210);
	ck_assert(
		json_object_object_get_ex(json_object_array_get_idx(entries, 209), "name", &name));
	ck_assert_str_eq(json_object_get_string(name), "name-number-209");
	json_object_put(o);
}
END_TEST

START_TEST(dump_escapes_what_is_no_text)
{
	struct json_object *o, *entries, *name;

	craft_set_block(&craft, craft.block[B_DIR], 32 + 10, 3, 0xff0a5c);
	save();
	ck_assert_int_eq(run(dump_path, "", "dir 6"), 0);
	assert_says("name=\\\\\\x0a\\xff\n");
	ck_assert_int_eq(run(dump_path, "--json", "dir 6"), 0);
	o = json_tokener_parse(output);
	ck_assert_ptr_nonnull(o);
	ck_assert(json_object_object_get_ex(o, "entries", &entries));
	ck_assert(json_object_object_get_ex(json_object_array_get_idx(entries, 0), "name", &name));
	ck_assert_str_eq(json_object_get_string(name), "\\\\\\x0a\\xff");
	json_object_put(o);
}
END_TEST

START_TEST(dump_goes_on_in_damage)
{
	uint8_t noise = 0xee;

	craft_poke(&craft, 0, 0, &noise, 1);
	craft_poke(&craft, 1, 40, &noise, 1);
	craft_poke(&craft, craft.block[B_TREE_LEAF], 60, &noise, 1);
	craft_poke(&craft, geo_inode_block(&craft.geo, 1), 8, &noise, 1);
	craft_poke(&craft, craft.block[B_VALUE1], 60, &noise, 1);
	save();
	ck_assert_int_eq(run(dump_path, "", "super"), 0);
	assert_says("other_copy_bad: true");
	ck_assert_int_eq(run(dump_path, "", "groups"), 0);
	assert_says("corrupt=descriptor block");
	ck_assert_int_eq(run(dump_path, "", "extents 4"), 0);
	assert_says("corrupt_parts: 1\n");
	ck_assert_int_eq(run(dump_path, "", "xattrs 12"), 0);
	assert_says("bytes=1500 corrupt=value value=www");
	assert_says("corrupt_parts: 1\n");
	ck_assert_int_eq(run(dump_path, "", "inode 1"), 0);
	assert_says("corrupt: checksum\n");
	ck_assert_int_eq(run(dump_path, "", "path /fifo"), 0);
	assert_says("type: fifo\n");
}
END_TEST

START_TEST(dump_says_what_is_not_there)
{
	ck_assert_int_eq(run(dump_path, "", "inode 999999 super"), 1);
	assert_says("no such number");
	assert_says("label: crafted");
	ck_assert_int_eq(run(dump_path, "", "path /nothing"), 1);
	ck_assert_int_eq(run(dump_path, "", "nonsense"), 2);
	ck_assert_int_eq(run(dump_path, "", "inode x"), 2);
}
END_TEST

START_TEST(fsck_exit_codes_are_those_of_fsck)
{
	ck_assert_int_eq(run(fsck_path, "-n", ""), 0);
	assert_says("clean");
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 0);
	craft_set_inode(&craft, I_INLINE, offsetof(struct disk_inode, nlink), 4, 7);
	save();
	ck_assert_int_eq(run(fsck_path, "-n", ""), 0);
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 4);
	assert_says("link count is 7, should be 2");
	ck_assert_int_eq(run(fsck_path, "-pf", ""), 1);
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 0);
	ck_assert_int_eq(run(fsck_path, "-n -y", ""), 16);
	ck_assert_int_eq(run(fsck_path, "-n", "another"), 16);
	ck_assert_int_eq(run(fsck_path, "-V", ""), 0);
}
END_TEST

START_TEST(fsck_preen_leaves_what_is_not_safe)
{
	uint8_t noise = 0xee;

	craft_poke(&craft, geo_inode_block(&craft.geo, I_TREE),
		   geo_inode_offset(&craft.geo, I_TREE) + 9, &noise, 1);
	save();
	ck_assert_int_eq(run(fsck_path, "-pf", ""), 4);
	assert_says("NOT MENDED");
	ck_assert_int_eq(run(fsck_path, "-n", ""), 4);
	ck_assert_int_eq(run(fsck_path, "-y", ""), 1);
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 0);
}
END_TEST

START_TEST(fsck_refuses_an_image_in_use)
{
	int fd = open(image, O_RDWR);

	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(run(fsck_path, "-y", ""), 8);
	assert_says("in use");
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 0);
	assert_says("warning");
	close(fd);
}
END_TEST

START_TEST(fsck_without_a_terminal_asks_nothing)
{
	ck_assert_int_eq(run(fsck_path, "-f", ""), 8);
	assert_says("no terminal");
}
END_TEST

START_TEST(fsck_repairs_from_the_copy)
{
	uint8_t noise = 0xee;

	craft_poke(&craft, 0, 0, &noise, 1);
	save();
	ck_assert_int_eq(run(fsck_path, "-n", ""), 4);
	ck_assert_int_eq(run(fsck_path, "-b copy -p", ""), 1);
	ck_assert_int_eq(run(fsck_path, "-nf", ""), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("dump");
	TCase *t = tcase_create("dump");
	SRunner *runner;
	int failed;

	if (argc != 3)
		return EXIT_FAILURE;
	dump_path = argv[1];
	fsck_path = argv[2];
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, dump_shows_each_structure);
	tcase_add_test(t, dump_json_can_be_parsed);
	tcase_add_test(t, dump_escapes_what_is_no_text);
	tcase_add_test(t, dump_goes_on_in_damage);
	tcase_add_test(t, dump_says_what_is_not_there);
	tcase_add_test(t, fsck_exit_codes_are_those_of_fsck);
	tcase_add_test(t, fsck_preen_leaves_what_is_not_safe);
	tcase_add_test(t, fsck_refuses_an_image_in_use);
	tcase_add_test(t, fsck_without_a_terminal_asks_nothing);
	tcase_add_test(t, fsck_repairs_from_the_copy);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
