#!/usr/bin/env bash
# peer.sh FILE: an environment of its own for a program that is tested beside ours, in .cache/peers, made of a pinned
# requirements file; made once.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

file=$1
name=$(basename "$file" .txt)
place=$ROOT/.cache/peers/$name
print=$(fingerprint "$file" "$("$PY" --version)")
[[ -x $place/bin/python ]] && done_already "peer-$name" "$print" && exit 0

say "installing $file into ${place#"$ROOT"/}"
rm -rf "$place"
quietly "$PY" -m venv "$place"
quietly "$place/bin/python" -m pip install --quiet --requirement "$file"
mark_done "peer-$name" "$print"
