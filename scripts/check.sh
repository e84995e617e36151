#!/usr/bin/env bash
# Looks for what the machine itself must bring; one line for each missing thing.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wanted=0
need() { missing "$*"; wanted=1; }

rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null; then
    need "cargo: install Rust $rust_wanted or newer with rustup, then open a new shell"
else
    rust_here=$(rustc --version | cut -d' ' -f2)
    if [[ $(printf '%s\n' "$rust_wanted" "$rust_here" | sort -V | head -n1) != "$rust_wanted" ]]; then
        need "Rust $rust_wanted or newer (this is $rust_here): run 'rustup update stable'"
    fi
    cargo fmt --version >/dev/null 2>&1 || need "cargo fmt: run 'rustup component add rustfmt'"
    cargo clippy --version >/dev/null 2>&1 || need "cargo clippy: run 'rustup component add clippy'"
fi

command -v cc >/dev/null || need "a C compiler: install gcc ('apt-get install build-essential')"

python=$(find_python) || need "Python 3.11 or newer: install python3 ('apt-get install python3 python3-venv')"
if [[ -n ${python:-} && ! -x $PY ]] && ! has_venv "$python" && ! command -v apt-get >/dev/null; then
    need "venv and pip for $python: install them with this system's own tool"
fi

if ((wanted)); then
    fail "install what is named above, then try again"
fi
