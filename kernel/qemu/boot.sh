#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot.sh NAME PLAN BZIMAGE INITRAMFS SECONDS [KERNEL ARGUMENTS]
# Boots under TCG and leaves NAME.tap and NAME.console in $LOGS; the exit status
# is QEMU's, 124 on time-out. What the logs say is check-log.sh's business.
set -eu
. "$(dirname "$0")/env.sh"

name=$1 plan=$2 kernel=$3 initramfs=$4 limit=$5
shift 5
rm -f "$LOGS/$name.tap" "$LOGS/$name.console"
: > "$LOGS/$name.tap"
: > "$LOGS/$name.console"
exec timeout -k 5 "$limit" qemu-system-x86_64 \
	-accel tcg,thread=multi -cpu max -smp 2 -m 768 \
	-nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
	-serial "file:$LOGS/$name.console" -serial "file:$LOGS/$name.tap" \
	-kernel "$kernel" -initrd "$initramfs" \
	-append "console=ttyS0 loglevel=5 panic=-1 oops=panic deadbolt.plan=$plan $*" \
	< /dev/null
