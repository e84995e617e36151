#!/usr/bin/env bash
# Formatting, clippy, ruff, mypy, and the stub against the built module. The first failure ends it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

step() {
    say "$1"
    shift
    "$@"
}

step "rust: format" cargo fmt --check
step "rust: clippy, engine alone" cargo clippy --quiet --locked --all-targets -- -D warnings
step "rust: clippy, engine with no face that is optional" cargo clippy --quiet --locked --lib --no-default-features -- -D warnings
step "rust: clippy, with Python" cargo clippy --quiet --locked --lib --features python -- -D warnings
step "python: ruff" "$VENV/bin/ruff" check --quiet .
step "python: format" "$VENV/bin/ruff" format --check --quiet .
step "python: types of the package, strict" "$PY" -m mypy --strict python/ironbridge
step "python: types of the tests" "$PY" -m mypy tests-py
step "python: types of the benches, strict" "$PY" -m mypy --strict benches
step "python: the stub against the built module" "$PY" -m mypy.stubtest ironbridge._engine
