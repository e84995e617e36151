#!/usr/bin/env bash
# Everything `make test` and `make demo` need. Safe to run at any time; quick when nothing changed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/check.sh
scripts/system.sh
scripts/python.sh requirements/test.txt
scripts/node.sh
scripts/engine.sh release
