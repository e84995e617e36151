#!/usr/bin/env bash
# The engine's tests without Python, then the Python tests, whose summary comes last.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "rust: tests of the engine, without Python"
cargo test --quiet --locked 2>&1 | tee .cache/cargo-test.log
if grep --quiet --extended-regexp '[1-9][0-9]* ignored' .cache/cargo-test.log; then
    fail "a Rust test is ignored; long ones belong in the target 'soak', which \`cargo test\` leaves alone"
fi
say "python: tests"
# Half of the time is waiting for servers and deadlines: two processes share the machine well.
"$PY" -m pytest -n 2 --dist loadfile
