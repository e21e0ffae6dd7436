# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# make_tree FOLDER: a folder with more than 10,000 files and 500 MiB: those of this machine that its
# user may read, and what they lack of the two made up.
nr_files=10500
nr_bytes=$((520 << 20))

# names of the machine's own files, relative to /, as many as needed
own_files() {
	find /usr/include /usr/lib/gcc /usr/share -xdev -readable ! -name '* *' \
		\( -type d -executable -o -type f -o -type l \) -printf '%y %s %p\n' 2>/dev/null | sort -k 3 |
		awk -v files=$nr_files -v bytes=$nr_bytes '
			n < files || sum < bytes {print substr($3, 2)}
			$1 == "f" {n++; sum += $2}'
}
# count, command: that many random bytes for the command
random_for() {
	bytes=$1
	shift
	[ "$bytes" -le 0 ] || head -c "$bytes" /dev/urandom | "$@"
}
make_tree() {
	mkdir -p "$1/made"
	own_files >"$1.list"
	tar -C / --no-recursion -cf - -T "$1.list" | tar -C "$1" -xpf - || return 1
	random_for $((4096 * (nr_files - $(find "$1" -type f | wc -l)))) split -b 4096 -a 4 - "$1/made/small"
	random_for $((nr_bytes - $(du -sb "$1" | cut -f 1))) split -b 8M -a 4 - "$1/made/large"
	[ "$(find "$1" -type f | wc -l)" -gt 10000 ] && [ "$(du -sb "$1" | cut -f 1)" -gt $((500 << 20)) ]
}
