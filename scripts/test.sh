#!/usr/bin/env bash
# The engine's tests without Python, then the Python tests, whose summary comes last.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "rust: tests of the engine, without Python"
cargo test --quiet --locked
say "python: tests"
"$PY" -m pytest
