#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Calls go down only: no file of a library needs itself, over however many others.
# usage: calls.sh ARCHIVE...
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# who calls whom, a line each, of an archive's members
calls() {
	nm -A "$1" >"$dir/symbols"
	awk '{
			name = $1
			sub(/\.o:.*/, "", name)
			sub(/.*[:\/]/, "", name)
		}
		$(NF - 1) ~ /^[TDBR]$/ { of[$NF] = name }
		$(NF - 1) == "U" { needs[name " " $NF] }
		END {
			for (n in needs) {
				split(n, part, " ")
				if (part[2] in of && of[part[2]] != part[1])
					print part[1], of[part[2]]
			}
		}' "$dir/symbols" | sort -u
}
failed=0
for archive; do
	calls "$archive" >"$dir/calls"
	[ "$(wc -l <"$dir/calls")" -gt 50 ] || { echo "calls: too little seen of $archive" && failed=1; }
	if ! tsort "$dir/calls" >/dev/null 2>"$dir/loops"; then
		echo "calls: these files of $archive call each other in a circle:"
		sed 's/^tsort: [^:]*: *//' "$dir/loops"
		failed=1
	fi
done
exit $failed
