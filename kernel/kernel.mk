# SPDX-License-Identifier: GPL-2.0
# The kernel half. Included by the Makefile at the root; on its own:
#   make -f kernel/kernel.mk test-kernel
#
# DEADBOLT_CACHE   where sources, builds and logs are kept, outside the tree
#                  (default ${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt)
# KERNEL_PATCHES   the series (default kernel/patches/6.12)
# KERNEL_JOBS      compiler processes (default: one for each CPU)
# KERNEL_TEST_ONLY names of boots, to run only those; no stamp is written
# KERNEL_TEST_GUESTS  guests at a time (default 2)
# ALL=1            also what CI has no time for: see qemu/test.sh
# KERNEL_TEST_SECONDS  limit for all boots together (default 3600; with ALL=1 36000)
# DEADBOLT_BIN     the deadbolt that runs in the guest, instead of one built here

kernel_dir := $(dir $(lastword $(MAKEFILE_LIST)))

export DEADBOLT_CACHE KERNEL_PATCHES KERNEL_JOBS KERNEL_TEST_ONLY KERNEL_TEST_SECONDS KERNEL_TEST_GUESTS \
	DEADBOLT_BIN ALL

.PHONY: test-kernel kernel-images kernel-check-series

# Build and boot what has changed; seconds when nothing has.
test-kernel:
	@$(kernel_dir)qemu/test.sh

# Only the three kernels; prints where they are.
kernel-images:
	@$(kernel_dir)qemu/install-missing.sh
	@set -e; for variant in base patched noreplay; do \
		image=$$($(kernel_dir)qemu/build-kernel.sh $$variant); \
		echo "$$variant $$image/bzImage"; \
	done

# checkpatch.pl over the series, and a build after each patch.
kernel-check-series:
	@$(kernel_dir)qemu/install-missing.sh
	@$(kernel_dir)qemu/check-series.sh
