# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# For the tests of the programs, which mount nothing: BIN has them; $top is a folder that goes away.
set -u
export LC_ALL=C
PATH=${BIN:?}/tools:$PATH:/sbin:/usr/sbin
# shellcheck source=tests/folder.sh
. "$(dirname "$0")/../folder.sh"
own_folder
top=$folder
# shellcheck disable=SC2034
img=$top/image
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM HUP

die() {
	echo "FAILED: $*"
	exit 1
}
# the exit code that is expected, a pattern of its messages, the command
expect() {
	code=$1 pattern=$2
	shift 2
	timeout -k 5 120 "$@" >"$top/out" 2>&1 </dev/null
	r=$?
	[ $r = "$code" ] || die "exit code $r, not $code: $*: $(cat "$top/out")"
	grep -q -E -e "$pattern" "$top/out" || die "not '$pattern': $*: $(cat "$top/out")"
}
