#!/usr/bin/env bash
# setup.sh [engine|tests|servers]: the engine, built and importable in .venv; for `tests`, also the servers and packages
# they need; `servers` are those alone. Safe to run at any time; quick when nothing changed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

engine() {
    scripts/check.sh
    scripts/system.sh "$@"
    scripts/python.sh requirements/test.txt
}
servers() {
    scripts/node.sh
    scripts/peer.sh requirements/jararaca.txt
}

case ${1:-tests} in
engine)
    engine
    scripts/engine.sh release
    ;;
tests)
    engine requirements/debian.txt
    servers
    scripts/engine.sh release
    ;;
servers)
    scripts/system.sh requirements/debian.txt
    servers
    ;;
*) fail "setup.sh takes 'engine', 'tests' or 'servers', not '$1'" ;;
esac
