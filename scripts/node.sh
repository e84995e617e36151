#!/usr/bin/env bash
# Installs the npm packages of every folder of the project that has a lock file, each once.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while IFS= read -r lock; do
    folder=$(dirname "$lock")
    stamp=node-${folder//\//-}
    print=$(fingerprint "$lock")
    [[ -d $folder/node_modules ]] && done_already "$stamp" "$print" && continue
    command -v npm >/dev/null || fail "missing: npm (run 'apt-get install npm')"
    say "installing npm packages of $folder"
    quietly npm --prefix "$folder" ci --no-audit --no-fund
    mark_done "$stamp" "$print"
done < <(find . -path ./target -prune -o -path ./.venv -prune -o -name node_modules -prune -o -name package-lock.json -print)
