#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# matrix-table.sh SUMMARY...: the figures of check-matrix.sh as the table of docs/kernel.md.
set -eu

echo '| kernel | engine, guard | lock | kill points | corrupted | lost | stranded |'
echo '|---|---|---|---|---|---|---|'
sed -n 's/^figure matrix //p' "$@" | awk '{
	# NAME, engine E, guard G, SUBJECT: N kill points in S scenarios, C corrupted, L lost,
	# T stranded, X by a limit of the kernel
	gsub(/[,:]/, "")
	sub(/^matrix-/, "", $1)
	sub(/-part[0-9]+$/, "", $1)
	limit = $19 ? " (+" $19 ")" : ""
	printf "| %s | %s, %s | %s | %d in %d | %d | %d%s | %d |\n", $1, $3, $5, $6, $7, $11, $13, $15, limit, $17
}'
