# Shared by the scripts beside this file: where things are, how they speak, what was already done.
# Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROOT=$PWD
VENV=$ROOT/.venv
PY=$VENV/bin/python
STAMPS=$VENV/stamps # gone when the environment is
mkdir -p .cache

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 DEBIAN_FRONTEND=noninteractive

say() { printf '\033[1m·\033[0m %s\n' "$*"; }
missing() { printf 'missing: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A fingerprint of files and folders (by content) and of loose words.
fingerprint() {
    for item in "$@"; do
        if [[ -d $item ]]; then
            find "$item" -type f -not -path '*/node_modules/*' -print0 | sort -z | xargs -0 -r sha256sum
        elif [[ -f $item ]]; then
            sha256sum "$item"
        else
            printf '%s\n' "$item"
        fi
    done | sha256sum | cut -d' ' -f1
}

# done_already NAME FINGERPRINT: true when `mark_done` was last told the same.
done_already() { [[ -f $STAMPS/$1 && $(<"$STAMPS/$1") == "$2" ]]; }
mark_done() {
    mkdir -p "$STAMPS"
    printf '%s\n' "$2" >"$STAMPS/$1"
}

# Runs a command silently; shows what it printed only when it fails.
quietly() {
    local log=$ROOT/.cache/last.log
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 60 "$log" >&2
        fail "failed: $*"
    fi
}

# The newest interpreter the project supports, or what PYTHON names.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Whether an interpreter can make environments that have pip; Debian packs that apart.
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
