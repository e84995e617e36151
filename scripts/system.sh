#!/usr/bin/env bash
# system.sh [FILE]: installs the Debian packages that a file names (private brokers, Node), and what makes virtual
# environments where that is packed apart; only what is missing.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=()
while read -r program package; do
    [[ -z $program || $program == \#* ]] && continue
    command -v "$program" >/dev/null || [[ -x /usr/sbin/$program ]] || packages+=("$package")
done < <(cat "$@" /dev/null)
[[ -x $PY ]] || has_venv "$(find_python)" || packages+=(python3-venv)
((${#packages[@]})) || exit 0

command -v apt-get >/dev/null || fail "missing: ${packages[*]} (no apt-get here: install them with this system's own tool)"
root=()
if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || fail "missing: ${packages[*]} (run 'apt-get install ${packages[*]}' as root)"
    root=(sudo --preserve-env=DEBIAN_FRONTEND)
fi

# A package's own start script must not start a server for the whole machine: tests start private ones.
policy=/usr/sbin/policy-rc.d
made_policy=
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    made_policy=1
fi
restore() { [[ -z $made_policy ]] || "${root[@]}" rm -f "$policy"; }
trap restore EXIT

say "installing Debian packages: ${packages[*]}"
if ! "${root[@]}" apt-get install --yes --no-install-recommends "${packages[@]}" >.cache/apt.log 2>&1 </dev/null; then
    quietly "${root[@]}" apt-get update
    quietly "${root[@]}" apt-get install --yes --no-install-recommends "${packages[@]}"
fi
