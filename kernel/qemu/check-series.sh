#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each patch of the series by itself: checkpatch.pl has nothing new to say, the kernel of
# small.config builds when the series ends there, and so do the objects that the series
# touches for the configurations below. Not part of test-kernel, which builds the whole
# series once. CHECK_ONLY="checkpatch objects kernels" does some of it, CHECK_FROM=0009
# builds nothing before that patch, and CHECK_CONFIG=i386 the objects of one configuration.
set -eu
. "$(dirname "$0")/env.sh"

"$here/install-missing.sh" cross
: "${CHECK_ONLY:=checkpatch objects kernels}"
mapfile -t patches < <(find "$KERNEL_PATCHES" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort)
bad=0
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

skipped() { [[ $(basename "$1") < ${CHECK_FROM:-0} ]]; }

# What it says of each patch, without the line numbers, must be what checkpatch-accepted
# lists: no more, and no less. docs/kernel.md has the reasons.
checkpatch() {
	"$here/source.sh" base > /dev/null
	local said accepted
	said=$(for patch in "${patches[@]}"; do
		(cd "$cache/base/src" && perl scripts/checkpatch.pl --no-tree --strict --no-summary \
			--terse "$patch") || true
	done | sed -E 's|^.*/([0-9]{4})-[^:]*:[0-9]+: |\1 |' | sort -u)
	accepted=$(grep -v '^#' "$KERNEL_PATCHES/checkpatch-accepted" || true)
	if [ "$said" = "$accepted" ]; then
		say "checkpatch.pl --strict: $(grep -c . <<< "$said" || true) kinds of remarks, all known"
	else
		say "checkpatch.pl --strict: > is new, < is gone"
		diff <(echo "$accepted") <(echo "$said") >&2 || bad=1
	fi
}

# Name, ARCH, compiler, what is on top of allnoconfig, what must come out (! is off, - is
# taken out of the generated header, where Kconfig cannot say so), and what to build.
vdso="arch/x86/entry/vdso/"
objects="kernel/futex/ kernel/entry/ kernel/fork.o fs/exec.o"
configurations=(
"x86_64|x86_64|gcc|64BIT=y SMP=y|!COMPAT FUTEX_PI|$objects $vdso"
"x86_64-compat|x86_64|gcc|64BIT=y SMP=y IA32_EMULATION=y X86_X32_ABI=y|COMPAT !X86_SGX|$objects $vdso"
"x86_64-sgx|x86_64|gcc|64BIT=y SMP=y IA32_EMULATION=y CPU_SUP_INTEL=y HYPERVISOR_GUEST=y X86_X2APIC=y CRYPTO=y CRYPTO_SHA256=y X86_SGX=y|X86_SGX|$objects $vdso"
"x86_64-no-futex|x86_64|gcc|64BIT=y EXPERT=y FUTEX=n IA32_EMULATION=y|!FUTEX|kernel/entry/ kernel/fork.o fs/exec.o $vdso"
"x86_64-no-futex-pi|x86_64|gcc|64BIT=y|-FUTEX_PI|$objects $vdso"
"x86_64-clang|x86_64|clang|64BIT=y SMP=y IA32_EMULATION=y|COMPAT FUTEX_PI|$objects $vdso"
"i386|i386|gcc|64BIT=n|X86_32 FUTEX|$objects $vdso"
"um|um|gcc||FUTEX|kernel/futex/ kernel/fork.o fs/exec.o"
"arm|arm|clang|MMU=y ARCH_MULTIPLATFORM=y ARCH_MULTI_V7=y|FUTEX MMU|kernel/futex/ kernel/fork.o fs/exec.o"
"arm-nommu|arm|clang|MMU=n ARM_SINGLE_ARMV7M=y|FUTEX !MMU|kernel/futex/ kernel/fork.o fs/exec.o"
"arm64|arm64|clang|COMPAT=y EXPERT=y FUTEX=y RSEQ=y|FUTEX COMPAT RSEQ|$objects arch/arm64/kernel/vdso.o"
"riscv64|riscv|clang|NONPORTABLE=y ARCH_RV64I=y MMU=y|FUTEX 64BIT|$objects"
)

# Builds the objects of one configuration from $cache/patched/src as it is now. Its caller tests
# what it returns, and bash then does not stop at a command that fails.
build_objects() {
	local name arch compiler options want targets option obj kconfig
	IFS='|' read -r name arch compiler options want targets <<< "$1"
	obj=$cache/objects/$series-$name
	local make=(make -s -j"$KERNEL_JOBS" -C "$cache/patched/src" O="$obj" ARCH="$arch"
		HOSTCC='ccache gcc' KCFLAGS=-Werror)
	case $compiler in
	clang) make+=(LLVM=-19 CC='ccache clang-19') ;;
	gcc) make+=(CC='ccache gcc') ;;
	esac
	if [ "$(cat "$obj/.configured" 2>/dev/null)" != "$1" ]; then
		rm -rf "$obj"
		mkdir -p "$obj"
		for option in $options; do echo "CONFIG_$option"; done > "$obj/fragment"
		KCONFIG_ALLCONFIG="$obj/fragment" "${make[@]}" allnoconfig || return 1
		echo "$1" > "$obj/.configured"
	else
		for kconfig in $kconfigs; do
			[ "$cache/patched/src/$kconfig" -nt "$obj/.configured" ] || continue
			"${make[@]}" olddefconfig || return 1
			touch "$obj/.configured"
			break
		done
	fi
	for option in $want; do
		case $option in
		!*) ! grep -q "^CONFIG_${option#!}=y" "$obj/.config" ;;
		-*) ;;
		*) grep -q "^CONFIG_$option=y" "$obj/.config" ;;
		esac || { say "$name: not configured: $option"; return 1; }
	done
	for option in $want; do
		[[ $option = -* ]] || continue
		"${make[@]}" prepare || return 1
		sed -i "/CONFIG_${option#-}[ =]/d" \
			"$obj/include/generated/autoconf.h" "$obj/include/config/auto.conf"
	done
	# shellcheck disable=SC2086
	"${make[@]}" $targets || return 1
	for option in $want; do
		[[ $option != -* ]] || ! grep "CONFIG_${option#-}[ =]" "$obj/include/generated/autoconf.h" ||
			return 1
	done
	[[ $targets != *vdso* ]] || functions_have_kernel
}

# What the vDSO of $obj exports, the kernel beside it must act upon, or a bisection stops at a
# kernel that lets programs use a function that it does not protect.
functions_have_kernel() {
	local image exported core=$obj/kernel/futex/core.o
	image=$(find "$obj/arch" -name 'vdso*.so.dbg')
	# shellcheck disable=SC2086
	exported=$(nm -D $image | sed -n 's/.* [TW] //p')
	# No task has a list with 32-bit pointers there, and the kernel no code for one.
	if [ "$name" = x86_64 ] && grep list32 <<< "$exported"; then
		echo "a function for 32-bit lists without COMPAT"
		return 1
	fi
	if grep robust <<< "$exported" && ! nm "$core" | grep 'T .*futex_fixup_robust_unlock$'; then
		echo "functions, and nothing that settles an interrupted one"
		return 1
	fi
	# On Linux 6.12 they may leave a wakeup owed to the exit code.
	if [ "$series" = 6.12 ] && grep 'robust_futex_unlock' <<< "$exported" &&
		! nm "$core" | grep 'U futex_exit_unlock_pi$'; then
		echo "functions that leave a wakeup owed, and an exit walk that does not know"
		return 1
	fi
}

objects() {
	local count=0 before start configuration patch series kconfigs
	series=$(basename "$KERNEL_PATCHES")
	kconfigs=$(sed -n 's|^+++ b/\(.*Kconfig[^/]*\)$|\1|p' "${patches[@]}" | sort -u)
	for patch in "${patches[@]}"; do
		cp "$patch" "$prefix/"
		# Documentation and tests go into no object.
		grep -q '^diff --git a/\(arch\|fs\|include\|init\|kernel\|lib\)/' "$patch" || continue
		skipped "$patch" && continue
		KERNEL_PATCHES=$prefix "$here/source.sh" patched > /dev/null
		before=$count start=$SECONDS
		for configuration in "${configurations[@]}"; do
			[ -z "${CHECK_CONFIG:-}" ] || [[ $configuration = $CHECK_CONFIG\|* ]] || continue
			if build_objects "$configuration" > "$cache/objects.log" 2>&1; then
				count=$((count + 1))
			else
				tail -n 20 "$cache/objects.log" >&2
				say "does not build for ${configuration%%|*}: $(basename "$patch")"
				bad=1
			fi
		done
		say "objects of $((count - before)) configurations, $((SECONDS - start)) s: $(basename "$patch")"
	done
	say "$count builds of objects"
	[ "$count" -gt 0 ] || { say "no objects were built: is CHECK_CONFIG a configuration?"; bad=1; }
	rm "$prefix"/*
}

kernels() {
	local patch
	for patch in "${patches[@]}"; do
		cp "$patch" "$prefix/"
		skipped "$patch" && continue
		KERNEL_PATCHES=$prefix "$here/build-kernel.sh" patched > /dev/null || {
			say "does not build: $(basename "$patch")"
			bad=1
			break
		}
		say "builds: $(basename "$patch")"
	done
}

for part in $CHECK_ONLY; do
	"$part"
done
exit $bad
