# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# own_folder: $folder becomes a new one, for this test alone.  It is locked as long as a process of the test lives, by file 6,
# which they all have; one that is not has been left by a test that was killed, and is removed by the next.
own_folder() {
	for folder in "${TMPDIR:-/tmp}"/bufs-test.*; do
		[ ! -d "$folder" ] || [ ! -O "$folder" ] || flock -n "$folder" rm -rf --one-file-system "$folder" || :
	done
	while folder=$(mktemp -d "${TMPDIR:-/tmp}/bufs-test.XXXXXX") || exit 1; do
		exec 6<"$folder" && flock 6
		# another test may have been faster, and have removed it
		[ ! -d "$folder" ] || break
	done
}
