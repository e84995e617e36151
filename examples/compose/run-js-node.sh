#!/bin/sh
# Runs the node in JavaScript by Bun: this machine's, or that of npm.
set -eu
cd "$(dirname "$0")/js-service"
[ -d node_modules ] || npm ci --no-audit --no-fund
if command -v bun >/dev/null 2>&1; then
    exec bun run sample.ts
fi
exec ./node_modules/.bin/bun run sample.ts
