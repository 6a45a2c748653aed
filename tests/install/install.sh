#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: install.sh BUILD_DIRECTORY PREFIX
# The prefix is emptied first: a file that is no longer installed must not help.
set -eu

rm -rf "$2"
cmake --install "$1" --prefix "$2"
