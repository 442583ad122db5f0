#!/bin/sh
# Resolve pyproject.toml, dev.in and bench.in into exact versions with hashes, valid on every supported Python.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .venv/bin/uv)
[ -x "$uv" ] || { echo "make lock needs uv: .venv/bin/pip install uv" >&2; exit 1; }

compile() {
    UV_CUSTOM_COMPILE_COMMAND="make lock" "$uv" pip compile --quiet --upgrade --no-config \
        --universal --python-version 3.11 --generate-hashes "$@"
}

compile pyproject.toml -o requirements/runtime.txt
# The runtime versions are the same in both files: what is tested is what is run.
compile pyproject.toml requirements/dev.in -c requirements/runtime.txt -o requirements/dev.txt
# Programs that are only measured; nothing of ours needs them.
compile requirements/bench.in -o requirements/bench.txt
