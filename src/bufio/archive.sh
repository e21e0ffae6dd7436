#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# archive.sh FROM TO: the archive in one object, in which only the public names are global.
set -eu
object=$2.o
trap 'rm -f "$object"' EXIT
rm -f "$2"
ld -r --whole-archive "$1" -o "$object"
objcopy --wildcard --keep-global-symbol='bufio_*' "$object"
ar rcs "$2" "$object"
