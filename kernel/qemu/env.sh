# SPDX-License-Identifier: GPL-2.0
# Shared by the scripts beside it: places, keys, and how to give up.
# Sourced, never run.

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/.." && pwd)

: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${KERNEL_PATCHES:=$tree/patches/6.12}"
: "${KERNEL_TARBALL:=/usr/src/linux-source-6.12.tar.xz}"
: "${KERNEL_JOBS:=$(nproc)}"

cache=$DEADBOLT_CACHE/kernel
export CCACHE_DIR="${CCACHE_DIR:-$DEADBOLT_CACHE/ccache}"
# What the compiler says of its includes serves: no preprocessing before each compilation.
export CCACHE_DEPEND=1
export LC_ALL=C

say() { echo "test-kernel: $*" >&2; }
die() { say "$*"; exit 1; }

# The hash of names and contents: the key of everything that is cached.
# Arguments are files or directories; names are taken relative to their parent
# so that a key does not depend on where the checkout lies.
content_key() {
	for path; do
		[ -e "$path" ] || die "no such file: $path"
		(cd "$(dirname "$path")" &&
		 find "$(basename "$path")" -type f -print0 | sort -z | xargs -0r sha256sum)
	done | sha256sum | cut -c1-16
}

text_key() { sha256sum | cut -c1-16; }

# One writer at a time for whatever $1 names.
with_lock() {
	mkdir -p "$cache"
	exec 9> "$cache/$1.lock"
	flock 9
}
