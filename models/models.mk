# Included by the top-level Makefile.
.PHONY: models litmus
models:
	@scripts/require_packages.sh spin gcc libc6-dev
	models/run.sh

# Memory order on Arm's and RISC-V's processors; downloads herd7 once if it is not installed.
litmus:
	models/litmus/run.sh
