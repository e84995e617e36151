#!/usr/bin/env bash
# python.sh FILE...: creates .venv and installs pinned requirement files into it, each once.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ! -x $PY ]] || ! "$PY" -c 'import pip' 2>/dev/null; then
    python=$(find_python) || fail "no Python 3.11 or newer"
    say "creating .venv with $("$python" --version)"
    rm -rf "$VENV"
    quietly "$python" -m venv "$VENV"
fi

version=$("$PY" --version)
for file in "$@"; do
    [[ -f $file ]] || fail "no requirements file $file"
    stamp=python-${file//\//-}
    print=$(fingerprint "$file" "$version")
    done_already "$stamp" "$print" && continue
    say "installing $file into .venv"
    quietly "$PY" -m pip install --quiet --requirement "$file"
    mark_done "$stamp" "$print"
done
