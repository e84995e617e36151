#!/bin/sh
# Starts Redis: by Docker, or, without it, the redis-server of this machine. Ends with Ctrl+C.
set -eu
cd "$(dirname "$0")"
port=${REDIS_PORT:-6379}
if command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    exec docker compose up
fi
if command -v redis-server >/dev/null 2>&1; then
    echo "no Docker here: the redis-server of this machine listens on 127.0.0.1:$port"
    exec redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no
fi
echo "neither Docker nor redis-server is here: install one of them (apt install redis-server)" >&2
exit 1
