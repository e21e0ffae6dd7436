/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int make_file(const char *name, mode_t mode)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, mode);

	ck_assert_int_ge(fd, 0);
	return fd;
}

off_t size_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_size;
}

void wait_good(void)
{
	int status;

	ck_assert_int_gt(wait(&status), 0);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

void as_user(unsigned user, int (*act)(void))
{
	if (fork() == 0) {
		if (setgroups(0, NULL) < 0 || setgid(user) < 0 || setuid(user) < 0)
			_exit(2);
		_exit(!act());
	}
	wait_good();
}

int refused(int result, int error)
{
	return result == -1 && errno == error;
}

static void own_folder(void)
{
	char dir[] = "test.XXXXXX";

	umask(022);
	ck_assert_int_eq(chdir(getenv("DIR")), 0);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chdir(dir), 0);
}

int main(void)
{
	TCase *cases[] = {files_case(), large_case(), kernel_case(), names_case(),
			  edges_case(), space_case(), users_case(),  xattr_case()};
	/* the last two become other users */
	size_t nr = sizeof(cases) / sizeof(cases[0]) - (geteuid() == 0 ? 0 : 2);
	Suite *s = suite_create("semantics");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < nr; i++) {
		tcase_add_checked_fixture(cases[i], own_folder, NULL);
		tcase_set_timeout(cases[i], 300);
		suite_add_tcase(s, cases[i]);
	}
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
