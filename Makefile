# SPDX-License-Identifier: MIT
# Two commands do everything on a fresh Debian 12: `make demo` and `make test`.
# Everything is built under build/, one directory a preset (CMakePresets.json).
# A recipe configures only what was never configured, or with other presets; from
# then on Ninja knows what is out of date.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
# Tests sleep for a part of their time, until a death or a time-out.
TEST_JOBS ?= $(shell expr $(JOBS) + 1)

tool_packages := g++ cmake ninja-build libcli11-dev libfmt-dev nlohmann-json3-dev
bpf_packages := clang bpftool libbpf-dev liblmdb-dev libtdb-dev
test_packages := $(tool_packages) libgtest-dev libbenchmark-dev pkg-config musl-tools \
  clang libclang-rt-CLANG-dev g++-multilib meson $(bpf_packages)
own_tests_packages := $(tool_packages) dpkg-dev liblmdb-dev libtdb-dev
guest_packages := $(test_packages) qemu-system-x86 busybox-static cpio
# The compiler is not among them: scripts/cross_compiler.sh says why.
arm64_packages := $(tool_packages) binutils-aarch64-linux-gnu qemu-system-arm cpio
riscv64_packages := $(tool_packages) clang binutils-riscv64-linux-gnu qemu-system-misc opensbi cpio
bench_packages := $(tool_packages) libbenchmark-dev musl-tools libboost-dev gnuplot-nox
python_packages := $(tool_packages) pkg-config python3-dev python3-setuptools python3-wheel \
  python3-build
python_test_packages := $(python_packages) python3-pytest python3-numpy
rust_packages := $(tool_packages) pkg-config rustc cargo
rust_test_packages := $(rust_packages) rust-clippy rustfmt
deb_packages := build-essential $(tool_packages) clang bpftool libbpf-dev pkg-config python3-dev python3-setuptools \
  python3-wheel dpkg-dev debhelper dh-python fakeroot lintian git
lint_packages := $(test_packages) clang-format clang-tidy shellcheck git

require := scripts/require_packages.sh

# A thread sanitizer of this age knows few of the address layouts that newer
# kernels choose at random.
fixed_layout := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.PHONY: help
help:
	@echo "make demo        build the release and run the crash test"
	@echo "make test        build and run the C and C++ tests"
	@echo "make test-kernel build the patched kernel, boot it under QEMU and attack it"
	@echo "make bench       run the benchmarks (QUICK=1: README's rows); bench-check: compare with docs/performance.tsv"
	@echo "make models      check the models with Spin, and that their mutants fail"
	@echo "make litmus      check the memory orders on Arm's and RISC-V's memory models with herd7"
	@echo "make test-guard  boot Debian's 6.1 and 6.12 under QEMU and test the BPF guard there"
	@echo "make test-preload boot Debian's 7.2 and 7.3 under QEMU and attack preloaded programs there"
	@echo "make test-preload-own  glibc's, tdb's, LMDB's own tests of mutexes with the preload library; preload-cost"
	@echo "make test-libcs  the preload library with the libcs of Debian 11, 13, forky and experimental"
	@echo "make test-arm64  cross-build for arm64 and test under QEMU, with and without LSE; test-arm64-short: a few minutes of it"
	@echo "make test-riscv64 cross-build the regions for riscv64 and test them under QEMU"
	@echo "make storm       kill processes at random for 10 minutes (STORM_SECONDS=600)"
	@echo "make evidence    run the check of every promise of the README (ONLY=word: of some)"
	@echo "make lint        clang-format, clang-tidy, shellcheck, and a build with clang++"
	@echo "make test-debian run demo and test in a fresh chroot of a Debian release (SUITE=trixie)"
	@echo "make test-dev    the tests of the debug build alone; so test-musl, test-asan, test-tsan, test-valgrind"
	@echo "make install     into PREFIX=/usr/local, from the release build"
	@echo "make python      the Python package's wheel and sdist into build/python/dist; test-python"
	@echo "make rust        the Rust crates; test-rust: rustfmt, clippy and their tests"
	@echo "make deb         the Debian packages into build/deb; test-deb: in chroots of Debian 12 and 13"
	@echo "make sbom        what the built files are made of, as SPDX, into build/sbom.spdx.json"
	@echo "make test-reproducible  packages and wheel twice, the same bytes"
	@echo "make test-languages  one lock for Python, Rust, C and C++, each killed in turn"
	@echo "make clean       remove build/"

.PHONY: demo
demo: build/release/build.ninja
	@cmake --build build/release --parallel $(JOBS) --target deadbolt
	build/release/src/cli/deadbolt crash-test

# bench also writes docs/performance.md's table, docs/performance.tsv and docs/figures/;
# bench-check compares with that.
.PHONY: bench bench-check build-bench
# QUICK=1 measures README's rows alone, in about two minutes, and writes no file.
QUICK ?=
quick_rows := ^(uncontended|contended/procs:2/section:short|readers_writers/procs:2/writes:1%)/
bench: build-bench
ifeq ($(QUICK),)
	scripts/bench_report.sh build/release/bench/lock_bench
else
	build/release/bench/lock_bench '--benchmark_filter=$(quick_rows)'
endif

bench-check: build-bench
	scripts/bench_check.sh build/release/bench/lock_bench

build-bench: packages-bench build/release/build.ninja
	@grep -q '^DEADBOLT_BUILD_BENCH:BOOL=ON' build/release/CMakeCache.txt || \
	  cmake -D DEADBOLT_BUILD_BENCH=ON build/release
	@cmake --build build/release --parallel $(JOBS) --target lock_bench

# The command is all that the demo builds.
PREFIX ?= /usr/local
.PHONY: install
install: build/release/build.ninja
	@cmake --build build/release --parallel $(JOBS) \
	  --target deadbolt deadbolt_preload deadbolt_static deadbolt_shared
	cmake --install build/release --prefix $(PREFIX)

# The whole suite comes last, so that its totals are the closing lines.
.PHONY: test test-dev test-musl test-asan test-tsan
test:
	@$(MAKE) test-asan
	@$(MAKE) test-tsan
	@$(MAKE) test-musl
	@$(MAKE) test-dev

test-dev: build-dev
	ctest --preset dev --parallel $(TEST_JOBS)

test-musl: build-musl
	ctest --preset musl --parallel $(TEST_JOBS)

test-asan: build-asan-ubsan
	ctest --preset asan-ubsan --parallel $(TEST_JOBS)

test-tsan: build-tsan
	$(fixed_layout) ctest --preset tsan --parallel $(TEST_JOBS)

# Random kills for STORM_SECONDS, half of the time unprotected and half under the ptrace
# guard, and of the users of the example table. STORM_SEED=N replays the schedules of
# the seed that each of them prints; STORM_OPTIONS go to storm, not to kv_storm.
STORM_SECONDS ?= 600
STORM_SEED ?=
STORM_OPTIONS ?=
storm_options = --seconds $$(($(STORM_SECONDS) / 2)) $(addprefix --seed ,$(STORM_SEED)) \
  $(STORM_OPTIONS)
.PHONY: storm
storm: build/dev/build.ninja
	@cmake --build build/dev --parallel $(JOBS) --target storm kv_storm deadbolt
	build/dev/tests/storm/kv_storm 10000 $(STORM_SEED)
	build/dev/tests/storm/storm $(storm_options)
	build/dev/src/cli/deadbolt run -- build/dev/tests/storm/storm $(storm_options)

# Every promise of the README and its check: docs/evidence.md.
ONLY ?=
.PHONY: evidence
evidence: build-dev
	scripts/evidence.sh $(ONLY)

# README's two commands in a fresh chroot of another Debian release; COMMAND= runs another, and
# DEBIAN_OPTIONS=--ccache keeps what was compiled for the next run.
SUITE ?= trixie
COMMAND ?= make demo && make test
DEBIAN_OPTIONS ?=
.PHONY: test-debian
test-debian:
	scripts/test_debian.sh $(DEBIAN_OPTIONS) $(SUITE) "$(COMMAND)"

# The preload library with the libcs of Debian's suites, which are unpacked, not installed.
.PHONY: test-libcs
test-libcs: build/release/build.ninja
	@cmake --build build/release --parallel $(JOBS) --target deadbolt_preload
	tests/preload/other_libcs.sh build/release/src/preload/libdeadbolt-pthread.so

# What glibc, the Open POSIX Test Suite, tdb and LMDB test their mutexes with, behind the preload
# library and without it.
.PHONY: test-preload-own
test-preload-own: build/release/build.ninja packages-own_tests
	@cmake --build build/release --parallel $(JOBS) --target deadbolt_preload
	tests/preload/own_tests.sh $(CURDIR)/build/release/src/preload/libdeadbolt-pthread.so

# What a lock and unlock cost with it; fails when a robust mutex costs more than glibc's.
.PHONY: preload-cost
preload-cost: build/release/build.ninja
	@cmake --build build/release --parallel $(JOBS) --target deadbolt_preload
	tests/preload/cost.sh $(CURDIR)/build/release/src/preload/libdeadbolt-pthread.so

# The preload library on Debian's stock 7.2 and 7.3, under QEMU, with no guard.
.PHONY: test-preload
test-preload: build/guest/build.ninja
	@cmake --build build/guest --parallel $(JOBS) --target deadbolt preload_mixed_storm real_programs
	tests/preload/guest/test.sh build/guest

.PHONY: test-valgrind
test-valgrind: build-dev
	@$(require) valgrind
	scripts/run_valgrind.sh build/dev

# Building with clang++ runs clang-tidy on every file that has changed, or
# whose headers have.
.PHONY: lint lint-text
lint: lint-text build/lint/build.ninja
	@cmake --build build/lint --parallel $(JOBS)

# The part that takes seconds.
lint-text: | packages-lint
	scripts/check_format.sh
	scripts/check_scripts.sh
	scripts/check_version.sh

.PHONY: build-dev build-musl build-asan-ubsan build-tsan
build-dev build-musl build-asan-ubsan build-tsan: build-%: build/%/build.ninja
	@cmake --build build/$* --parallel $(JOBS)

# What the demo does not need is left out until someone asks for it: see bench.
build/release/build.ninja: CMakePresets.json | packages-tool
	@cmake --preset release -D DEADBOLT_BUILD_TESTS=OFF -D DEADBOLT_BUILD_BENCH=OFF \
	  -D DEADBOLT_BUILD_EXAMPLES=OFF
	@touch $@

build/lint/build.ninja: CMakePresets.json | packages-lint
	@cmake --preset lint
	@touch $@

build/%/build.ninja: CMakePresets.json | packages-test
	@cmake --preset $*
	@touch $@

# LMDB and tdb, whose locks are the libc's, killed 1,000 times each under the ptrace guard.
.PHONY: real-programs
real-programs: build/dev/build.ninja
	@cmake --build build/dev --parallel $(JOBS) --target real_programs deadbolt
	build/dev/src/cli/deadbolt run -v -- build/dev/tests/real_programs/real_programs lmdb 1000
	build/dev/src/cli/deadbolt run -v -- build/dev/tests/real_programs/real_programs tdb 1000

# The BPF guard on kernels that this machine need not run. Seconds when nothing has
# changed since it passed; see tests/guard_bpf/guest/test.sh.
.PHONY: test-guard build-guest
test-guard: build-guest
	tests/guard_bpf/guest/test.sh build/guest

build-guest: build/guest/build.ninja
	@cmake --build build/guest --parallel $(JOBS) --target guard_guest

build/guest/build.ninja: CMakePresets.json | packages-guest
	@cmake --preset release -B build/guest -D DEADBOLT_BUILD_BPF=ON -D DEADBOLT_BUILD_BENCH=OFF \
	  -D DEADBOLT_BUILD_EXAMPLES=OFF
	@touch $@

# Debian's arm64 kernels under QEMU; see tests/arm64/test.sh. The short one is a few minutes of it.
.PHONY: test-arm64 test-arm64-short
test-arm64: build/arm64/build.ninja build/arm64-musl/build.ninja
	@cmake --build build/arm64 --parallel $(JOBS) --target arm64_guest
	@cmake --build build/arm64-musl --parallel $(JOBS)
	tests/arm64/test.sh build/arm64

test-arm64-short: build/arm64/build.ninja
	@cmake --build build/arm64 --parallel $(JOBS) --target arm64_plan_short
	ARM64_GUESTS="6.12:neoverse-n1:short 6.12:cortex-a53:short" tests/arm64/test.sh build/arm64

build/arm64/build.ninja build/arm64-musl/build.ninja: build/%/build.ninja: CMakePresets.json | \
  packages-arm64
	@cmake --preset $*
	@touch $@

# Debian's riscv64 kernel under QEMU; see tests/riscv64/test.sh.
.PHONY: test-riscv64
test-riscv64: build/riscv64/build.ninja
	@cmake --build build/riscv64 --parallel $(JOBS) --target riscv64_guest
	tests/riscv64/test.sh build/riscv64

build/riscv64/build.ninja: CMakePresets.json | packages-riscv64
	@cmake --preset riscv64
	@touch $@

# The libraries, headers and deadbolt.pc, without the command: what bindings are built with.
.PHONY: library
library: build/release/build.ninja
	@cmake --build build/release --parallel $(JOBS) --target deadbolt_static deadbolt_shared
	@cmake --install build/release --prefix build/library --component library >/dev/null
	@cmake --install build/release --prefix build/library --component development >/dev/null
library_directory = $(shell sed -n 's/^CMAKE_INSTALL_LIBDIR:PATH=//p' build/release/CMakeCache.txt)

.PHONY: python test-python
python: packages-python library
	scripts/build_python.sh build/library build/python

test-python: packages-python_test python
	cd bindings/python && PYTHONPATH=../../build/python/site PYTHONDONTWRITEBYTECODE=1 \
	  $(PYTHON) -m pytest -q

PYTHON ?= /usr/bin/python3
export PYTHON

# Debian's cargo and rustc, whatever else is in the PATH, and nothing from the network.
cargo = cd bindings/rust && PATH="/usr/bin:$$PATH" CARGO_NET_OFFLINE=true DEADBOLT_STATIC=1 \
  PKG_CONFIG_PATH=$(CURDIR)/build/library/$(library_directory)/pkgconfig \
  CARGO_TARGET_DIR=$(CURDIR)/build/rust cargo
.PHONY: rust test-rust
rust: packages-rust library
	$(cargo) build --release

test-rust: packages-rust_test library
	$(cargo) fmt --check
	$(cargo) clippy --all-targets -- -D warnings
	$(subst CARGO_TARGET_DIR,timeout 600 env CARGO_TARGET_DIR,$(cargo)) test --quiet

# README's four programs share a lock, and each is killed with each waiting.
.PHONY: test-languages
test-languages: packages-rust packages-python library python
	PATH="/usr/bin:$$PATH" PYTHONPATH=build/python/site \
	  PKG_CONFIG_PATH=$(CURDIR)/build/library/$(library_directory)/pkgconfig \
	  timeout 600 $(PYTHON) tests/languages/run.py README.md build/languages

DEB_SUITES ?= bookworm trixie
.PHONY: deb test-deb test-reproducible sbom
deb: packages-deb
	scripts/build_deb.sh build/deb

test-deb:
	for suite in $(DEB_SUITES); do scripts/test_deb.sh $$suite || exit 1; done

test-reproducible: packages-deb packages-python
	scripts/test_reproducible.sh build/reproducible

sbom: library
	@cmake --build build/release --parallel $(JOBS) --target deadbolt
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) scripts/sbom.py build/release/src/cli/deadbolt \
	  build/library/$(library_directory)/libdeadbolt.so.*.*.* >build/sbom.spdx.json

packages = tool test bench lint guest own_tests arm64 riscv64 python python_test rust rust_test deb
.PHONY: $(packages:%=packages-%)
$(packages:%=packages-%): packages-%:
	@$(require) $($*_packages)

.PHONY: clean
clean:
	rm -rf build

include models/models.mk
-include kernel/kernel.mk
