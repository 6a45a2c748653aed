#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot.sh NAME PLAN BZIMAGE INITRAMFS SECONDS [KERNEL ARGUMENTS]
# A NAME that starts with counted- or matrix- gets one CPU whose clock counts instructions,
# so that two boots can be compared and a busy host changes nothing. One that starts with
# no-compat- is User Mode Linux, a program.
# TSC_KHZ, if set, is the rate of the time stamp counter: see tsc-khz.c.
# The guest finds the PLAN, a file in a directory called plans, in a small archive before the INITRAMFS.
# Boots under TCG and leaves NAME.tap and NAME.console in $LOGS; the exit status
# is QEMU's, 124 on time-out. What the logs say is check-log.sh's business.
set -eu
. "$(dirname "$0")/env.sh"

name=$1 plan=$2 kernel=$3 initramfs=$4 limit=$5
shift 5
rm -f "$LOGS/$name.tap" "$LOGS/$name.console"
: > "$LOGS/$name.tap"
: > "$LOGS/$name.console"
(cd "$(dirname "$plan")/.." && echo "plans
plans/$(basename "$plan")" | cpio -o -H newc -R 0:0 --quiet) > "$LOGS/$name.initrd"
cat "$initramfs" >> "$LOGS/$name.initrd"
status=0
case $name in
no-compat-*)
	# The kernel is one of its processes, so that all of them end with its group.
	timeout -k 5 "$limit" "$kernel" mem=256M initrd="$LOGS/$name.initrd" con=null con0=fd:0,fd:1 \
		ssl=null ssl1=null,fd:3 root=/dev/ram0 loglevel=5 panic=-1 oops=panic \
		deadbolt.plan="$(basename "$plan")" "$@" \
		< /dev/null > "$LOGS/$name.console" 3> "$LOGS/$name.tap" || status=$?
	rm -f "$LOGS/$name.initrd"
	exit $status ;;
counted-* | matrix-*)
	machine="-accel tcg -icount shift=0,sleep=off -smp 1"
	clock= ;;
*)
	# Sockets: the BIOS's table for a kernel without ACPI names one CPU of each.
	machine="-accel tcg,thread=multi -smp 2,sockets=2"
	clock="no_timer_check ${TSC_KHZ:+tsc_early_khz=$TSC_KHZ tsc=reliable}" ;;
esac
# shellcheck disable=SC2086
timeout --foreground -k 5 "$limit" qemu-system-x86_64 $machine -cpu max -m 768 \
	-nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
	-serial "file:$LOGS/$name.console" -serial "file:$LOGS/$name.tap" \
	-kernel "$kernel" -initrd "$LOGS/$name.initrd" \
	-append "console=ttyS0 loglevel=5 panic=-1 oops=panic deadbolt.plan=$(basename "$plan") mitigations=off $clock $*" \
	< /dev/null || status=$?
rm -f "$LOGS/$name.initrd"
exit $status
