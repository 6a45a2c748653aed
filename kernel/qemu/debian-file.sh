#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# debian-file.sh SUITES PACKAGE-PATTERN FILE-PATTERN OUT: brings a file of a Debian package to
# OUT, from the first of the SUITES ("experimental sid", say) that has the package: a kernel
# moves on from one to the next. apt gets a configuration, lists and a cache of its own, the
# machine's are not touched. PACKAGE-PATTERN is a regular expression for the whole
# name; of several packages the last by version is taken. FILE-PATTERN is one of tar's.
set -eu
. "$(dirname "$0")/env.sh"

suites=$1 pattern=$2 file=$3 out=$4
[ ! -s "$out" ] || exit 0

with_lock apt
[ ! -s "$out" ] || exit 0
apt=$DEADBOLT_CACHE/apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: > "$apt/status"
# The mirror that this machine takes Debian from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' \
	'Component: main' | head -n 1)
[ -n "$mirror" ] || die "apt knows no mirror of Debian; apt-get update?"

find_package() {
	apt-cache search --names-only "^$pattern\$" 2>/dev/null | cut -d' ' -f1 | sort -V | tail -n 1
}

# Fails if $suite has no such package.
fetch() {
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
		> "$apt/$suite.list"
	# APT::Sandbox::User: when root runs apt, apt downloads as user _apt, who may not write to $apt.
	cat > "$apt/$suite.conf" <<-EOF
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt";
		Dir::Etc::sourcelist "$apt/$suite.list";
		Dir::Etc::sourceparts "-";
		Acquire::Languages "none";
		APT::Get::List-Cleanup "0";
		APT::Sandbox::User "root";
	EOF
	export APT_CONFIG="$apt/$suite.conf"

	# An old list names packages that are gone.
	for attempt in 1 2; do
		package=$(find_package)
		if [ -z "$package" ] || [ $attempt = 2 ]; then
			say "apt-get update for $suite"
			apt-get -q update >&2 < /dev/null || die "apt-get update failed for $suite"
			package=$(find_package)
			[ -n "$package" ] || return 1
		fi
		work=$(mktemp -d "$cache/deb.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		say "downloading $package of $suite"
		if (cd "$work" && apt-get -q download "$package" >&2 < /dev/null); then
			mkdir -p "$(dirname "$out")"
			dpkg-deb --fsys-tarfile "$work"/*.deb |
				tar -x -O -f - --wildcards "$file" > "$out.$$" || true
			[ -s "$out.$$" ] || { rm -f "$out.$$"; die "no $file in $package"; }
			mv "$out.$$" "$out"
			rm -rf "$work"
			return 0
		fi
		rm -rf "$work"
	done
	die "cannot download $package"
}

for suite in $suites; do
	if fetch; then exit 0; fi
done
die "no package $pattern in: $suites"
