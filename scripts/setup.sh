#!/usr/bin/env bash
# setup.sh [engine|tests]: the engine, built and importable in .venv; for `tests`, also the servers and packages they
# need. Safe to run at any time; quick when nothing changed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/check.sh
case ${1:-tests} in
engine) scripts/system.sh ;;
tests)
    scripts/system.sh requirements/debian.txt
    scripts/node.sh
    ;;
*) fail "setup.sh takes 'engine' or 'tests', not '$1'" ;;
esac
scripts/python.sh requirements/test.txt
[[ ${1:-tests} == tests ]] && scripts/peer.sh requirements/jararaca.txt
scripts/engine.sh release
