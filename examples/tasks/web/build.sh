#!/usr/bin/env bash
# Writes the client of the application, and compiles it and the page. Needs Node.js, and npm's typescript.
cd "$(dirname "$0")"
(cd .. && ironbridge app gen-tsi app:http_app web/client.ts)
npx --yes -p typescript@5.9 tsc --strict --target es2022 --module es2022 --moduleResolution bundler \
    --lib es2022,dom,dom.iterable client.ts page.ts
