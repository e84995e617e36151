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
if ! "$PY" -m pytest -n 2 --dist loadfile; then
    # Some state bounds of time, which a busy machine exceeds. By itself such a test must hold; many at once are no chance.
    failed=$("$PY" -m pytest --collect-only --last-failed --last-failed-no-failures none | grep --count '::' || true)
    ((failed > 0 && failed <= 5)) || fail "the Python tests failed"
    say "python: the $failed that failed beside others, once more, alone"
    "$PY" -m pytest --last-failed --last-failed-no-failures none
fi
