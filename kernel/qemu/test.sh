#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds what is missing, boots each kernel with its plan, and judges the logs.
# Exits 0 when all of it passed, now or earlier with the very same content: a boot that
# did is not made again. With ALL=1 also the boots that CI has no time for: the kernel of 6.12
# without the series, the library in the guest, the series for Linux 7.3, and Debian's
# kernels as they are.
set -eu
. "$(dirname "$0")/env.sh"

"$here/install-missing.sh"
"$here/check-log-test.sh"

# Kernels: base, patched and noreplay are built, see source.sh; patched73 is Linux 7.3 with
# its series; stock61 and so on are Debian's as they are; um is patched as User Mode
# Linux, without COMPAT. The initramfs mainline has Linux 7.3's own test in it,
# userspace the library's side, command only the deadbolt command.
# A plan of several paragraphs is as many boots, NAME-part1 and so on, each of which is kept when
# it has passed.
boots=(
# name          kernel initramfs seconds  kernel arguments
"vdso-kill      patched  kernel 3600"
"vdso-signal    patched  kernel 3600"
"vdso           patched  kernel 3600"
"noreplay       noreplay kernel  300"
"counted-patched patched mainline 1800"
"broken-panic   patched  kernel  300"
"broken-report  patched  kernel  300"
"broken-hang    patched  kernel   60"
)
# Two kernels more to compile. stock-*: check-log.sh asks for less, since those kernels lack
# what small.config has.
if [ -n "${ALL:-}" ]; then
	boots+=(
	"no-compat-6.12 um   kernel 1800"
	"userspace  patched  userspace 3600"
	"userspace-mainline patched userspace 3600"
	"userspace-novdso patched userspace 3600 vdso=0 vdso32=0"
	"matrix-patched-6.12 patched command 3600"
	"matrix-novdso-6.12 patched command 3600 vdso=0 vdso32=0"
	"stock      base     kernel 3600"
	"counted-stock base  mainline 1800"
	"novdso     patched  kernel 3600 vdso=0 vdso32=0"
	"counted-novdso patched kernel 1800 vdso=0 vdso32=0"
	"patched-7.3-kill patched73 kernel 3600"
	"patched-7.3-kill32 patched73 kernel 3600"
	"patched-7.3-signal patched73 kernel 3600"
	"counted-patched-7.3 patched73 kernel 3600"
	"patched-7.3 patched73 userspace 3600"
	"matrix-patched-7.3 patched73 command 3600"
	"stock-7.3  stock73  userspace 3600"
	"counted-stock-7.3 stock73 kernel 1800"
	"matrix-stock-7.3 stock73 command 3600"
	"stock-7.2  stock72  userspace 3600"
	"counted-stock-7.2 stock72 kernel 1800"
	"matrix-stock-7.2 stock72 command 3600"
	"matrix-stock-6.12 stock612 command 3600"
	"matrix-stock-6.1 stock61 command 3600")
	: "${KERNEL_TEST_SECONDS:=36000}"
fi
# A part of them, by name, with or without -partN; for development. No stamp is written then, and
# no kernel is built that they do not need.
only=${KERNEL_TEST_ONLY:-}
is_wanted() { [[ -z $only || " $only " = *" $1 "* || " $only " = *" ${1%-part*} "* ]]; }
plan_part() {	# NAME NUMBER
	awk -v part="$2" 'BEGIN { RS = "" } NR == part' "$here/plans/$1"
}
parts=()
for boot in "${boots[@]}"; do
	read -r name rest <<< "$boot"
	count=$(awk 'BEGIN { RS = "" } END { print NR }' "$here/plans/$name")
	[ "$count" != 1 ] || { parts+=("$boot"); continue; }
	for ((part = 1; part <= count; part++)); do parts+=("$name-part$part $rest"); done
done
boots=("${parts[@]}")
for name in $only; do
	[[ "$(printf ' %s ' "${boots[@]%% *}" | sed 'p; s/-part[0-9]* / /g')" = *" $name "* ]] ||
		die "no such boot: $name${ALL:+, with ALL=$ALL}"
done

build() {	# KERNEL: prints its directory
	case $1 in
	base | patched | noreplay) "$here/build-kernel.sh" "$1" ;;
	patched73) "$here/in-7.3.sh" "$here/build-kernel.sh" patched ;;
	um) "$here/build-kernel.sh" patched um ;;
	stock61) "$here/stock-kernel.sh" 6.1 ;;
	stock612) "$here/stock-kernel.sh" 6.12 ;;
	stock72) "$here/stock-kernel.sh" 7.2 ;;
	stock73) "$here/stock-kernel.sh" 7.3 ;;
	*) die "no such kernel: $1" ;;
	esac
}

# Where the kernel's own selftests come from, if the plan has them: the source that the kernel
# was built from. Debian's kernels of 7.2 and 7.3 run those of our series for 7.3, and the
# robust_unlock of that for 6.12.
selftests_of() {	# KERNEL NAME
	if ! grep -q '^ksft' "$here/plans/${2%-part*}"; then echo none; return; fi
	case $1 in
	stock7*) echo patched73 patched ;;
	stock*) die "no selftests for $2" ;;
	*) echo "$1" ;;
	esac
}

pack() {	# INITRAMFS SELFTESTS...: prints its path
	local parts old
	case $1 in
	kernel) parts=() ;;
	mainline) parts=("$("$here/build-mainline.sh")") ;;
	userspace) parts=("$("$here/build-userspace.sh")") ;;
	command) parts=("$("$here/build-userspace.sh" deadbolt)") ;;
	*) die "no such initramfs: $1" ;;
	esac
	if [ $# = 3 ]; then
		old=$cache/old-selftest/$(content_key "${built[$3]}/ksft/robust_unlock")
		mkdir -p "$old/ksft-6.12"
		cp "${built[$3]}/ksft/robust_unlock" "$old/ksft-6.12/"
		echo robust_unlock > "$old/ksft-6.12/list"
		parts+=("$old")
	fi
	"$here/build-initramfs.sh" "${built[$2]}" "${parts[@]}"
}

declare -A built=([none]=-)
wanted=()
for boot in "${boots[@]}"; do
	read -r name kernel initramfs rest <<< "$boot"
	is_wanted "$name" || continue
	read -ra selftests <<< "$(selftests_of "$kernel" "$name")"
	for needed in "$kernel" "${selftests[@]}"; do
		[ -n "${built[$needed]:-}" ] || built[$needed]=$(build "$needed")
	done
	packed=$(pack "$initramfs" "${selftests[@]}")
	wanted+=("$name ${built[$kernel]} $packed $rest")
done

# What check-log.sh must say about the boots that are broken on purpose.
must_complain() {
	case $1 in
	broken-panic) grep -q 'Kernel panic - not syncing: sysrq' "$2" ;;
	broken-report) grep -q 'WARNING: ' "$2" && grep -q 'UBSAN: array-index-out-of-bounds' "$2" &&
		grep -q '1 results in 1 lines' "$2" && grep -q 'kernel tainted' "$2" ;;
	broken-hang) grep -q 'no end after 60 s' "$2" && grep -q 'line 1 has no end' "$2" ;;
	esac
}

judge() {
	local name=$1 status=$2 bad=0
	case $status in
	0) ;;
	124 | 137) echo "$name: no end after $3 s"; bad=1 ;;
	*) echo "$name: qemu exited with $status: $(cat "$LOGS/$name.qemu")"; bad=1 ;;
	esac
	"$here/check-log.sh" "$LOGS/plans/$name" "$LOGS/$name.tap" "$LOGS/$name.console" || bad=1
	if grep -q '^crash-matrix ' "$LOGS/plans/$name"; then
		"$here/check-matrix.sh" "$name" "$LOGS/$name.tap" || bad=1
	fi
	return $bad
}

# What a verdict depends on, but for what a boot is made of.
harness_key=$( {
	content_key "$here/boot.sh" "$here"/check-*.sh "$here/tsc-khz.c"
	declare -f judge must_complain
	qemu-system-x86_64 --version
} | text_key)
key=$(printf '%s\n' "$harness_key" "$(content_key "$here/plans")" "${wanted[@]}" | text_key)
LOGS=$cache/logs/$key
export LOGS
mkdir -p "$LOGS/plans"
if [ -s "$LOGS/passed" ] && [ -z "$only" ]; then
	cat "$LOGS/passed"
	say "passed earlier, and nothing has changed since: $LOGS"
	exit 0
fi
rm -f "$LOGS/passed" "$LOGS"/*.verdict
for boot in "${wanted[@]}"; do
	read -r name rest <<< "$boot"
	case $name in
	*-part*) plan_part "${name%-part*}" "${name##*-part}" ;;
	*) cat "$here/plans/$name" ;;
	esac > "$LOGS/plans/$name"
done

gcc -O2 -o "$cache/tsc-khz" "$here/tsc-khz.c"
TSC_KHZ=$("$cache/tsc-khz")
export TSC_KHZ

# A limit is there for what hangs. All boots together have one too, so that nothing
# that is merely slow adds up to more than whoever started this will wait.
deadline=$((SECONDS + ${KERNEL_TEST_SECONDS:-3600}))

# Where the logs of a boot are kept that passed: the same plan, kernel, initramfs and arguments.
passed_boot() {
	local plan
	plan=$(grep -v -e '^#' -e '^$' "$LOGS/plans/$1" | text_key)
	echo "$cache/logs/boot-$(printf '%s\n' "$harness_key" "$plan" "$@" | text_key)"
}

run_one() {
	local name=$1 kernel=$2 initramfs=$3 limit=$4 status=0 start=$SECONDS verdict=PASS kept
	kept=$(passed_boot "$@")
	shift 4
	if [ -s "$kept/$name.verdict" ]; then
		cp "$kept/$name".* "$LOGS/"
		say "$(cat "$LOGS/$name.verdict") (kept from an earlier run)"
		return
	fi
	[ $((deadline - SECONDS)) -ge "$limit" ] || limit=$((deadline > SECONDS ? deadline - SECONDS : 1))
	"$here/boot.sh" "$name" "$LOGS/plans/$name" "$kernel/bzImage" "$initramfs" "$limit" "$@" \
		> "$LOGS/$name.qemu" 2>&1 || status=$?
	if judge "$name" "$status" "$limit" > "$LOGS/$name.judged" 2>&1; then
		[[ $name != broken-* ]] || verdict="FAIL (nothing was noticed)"
	elif [[ $name != broken-* ]]; then
		verdict=FAIL
	elif ! must_complain "$name" "$LOGS/$name.judged"; then
		verdict="FAIL (noticed, but not for the reason)"
	fi
	echo "$verdict $name, $((SECONDS - start)) s: $(grep -c '^ok ' "$LOGS/$name.tap") results" \
		> "$LOGS/$name.verdict"
	[[ $verdict = PASS ]] || { cat "$LOGS/$name.judged"; echo "logs: $LOGS/$name.tap $LOGS/$name.console"; } >&2
	say "$(cat "$LOGS/$name.verdict")"
	[[ $verdict = PASS ]] || return 0
	rm -rf "$kept" "$kept.new"
	mkdir "$kept.new"
	cp "$LOGS/$name".* "$kept.new/"
	mv "$kept.new" "$kept"
}

# Two guests at a time, unless told otherwise: each of them keeps one CPU busy most of its time.
# Each in a process group of its own, that ends with us.
set -m
children=()
trap 'for child in "${children[@]}"; do kill -- -"$child" 2>/dev/null || true; done' EXIT
for boot in "${wanted[@]}"; do
	read -ra words <<< "$boot"
	if [ "$(jobs -rp | wc -l)" -ge "${KERNEL_TEST_GUESTS:-2}" ]; then
		wait -n || true
	fi
	run_one "${words[@]}" &
	children+=($!)
done
wait
trap - EXIT

cat "$LOGS"/*.verdict > "$LOGS/summary"
grep -h -a '^# figure' "$LOGS"/*.tap | tr -d '\r' | sed 's/^# //' >> "$LOGS/summary" || true
grep -h '^figure' "$LOGS"/*.judged >> "$LOGS/summary" || true
# What a system call costs in instructions, patched against unpatched.
if [ -s "$LOGS/counted-patched.tap" ] && [ -s "$LOGS/counted-stock.tap" ]; then
	cat "$LOGS/counted-stock.tap" "$LOGS/counted-patched.tap" | tr -d '\r' | awk '
		!/^# cost-ns / { next }
		!(($3, $4) in stock) { stock[$3, $4] = $5; next }
		{ printf "figure %s %s, patched / unpatched: %.4f (%d and %d instructions)\n",
			$3, $4, $5 / stock[$3, $4], $5, stock[$3, $4] }' >> "$LOGS/summary"
fi
passed=$(grep -c '^PASS' "$LOGS/summary" || true)
failed=$(grep -c '^FAIL' "$LOGS/summary" || true)
results=$(awk '/^PASS .* results$/ { sum += $(NF - 1) } END { print sum + 0 }' "$LOGS/summary")
echo "test-kernel: $passed of ${#children[@]} boots passed, $failed failed, $results results;" \
	"$((SECONDS / 60)) min $((SECONDS % 60)) s" >> "$LOGS/summary"
cat "$LOGS/summary"
[ "$failed" = 0 ] || exit 1
[ "$passed" = ${#wanted[@]} ] || die "a verdict is missing"
[ -z "$only" ] || exit 0
mv "$LOGS/summary" "$LOGS/passed"
