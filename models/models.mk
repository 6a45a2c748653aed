# Included by the top-level Makefile.
.PHONY: models
models:
	@scripts/require_packages.sh spin gcc libc6-dev
	models/run.sh
