# Included by the top-level Makefile.
.PHONY: models
models:
	models/run.sh
