#!/usr/bin/env bash
# engine.sh [release|dev]: builds the native module into python/ironbridge and installs the package, editable.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

profile=${1:-release}
print=$(fingerprint "$profile" src Cargo.toml Cargo.lock pyproject.toml)
module=python/ironbridge/_engine.abi3.so
[[ -f $module ]] && done_already engine "$print" && exit 0

say "building the engine ($profile)"
flags=()
[[ $profile == release ]] && flags+=(--release)
export VIRTUAL_ENV=$VENV
if [[ -t 2 ]]; then
    "$VENV/bin/maturin" develop --locked "${flags[@]}"
else
    quietly "$VENV/bin/maturin" develop --locked "${flags[@]}"
fi
mark_done engine "$print"
