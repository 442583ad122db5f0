#!/bin/sh
# Make or refresh .venv: locked dependencies, compiled kernels, editable install. `make setup` runs
# it when something changed; running it again is harmless. Needs only python3 with venv and headers,
# and a C compiler. PYTHON=/path/to/python picks another interpreter.
set -eu
cd "$(dirname "$0")/.."

say() { printf '  %s\n' "$*"; }
stop() { printf '\nconcordat setup: %s\n' "$*" >&2; exit 1; }

# pip speaks up only when something is wrong, and never asks.
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    stop "needs Python 3.11 or newer; found $(python3 --version 2>/dev/null || echo none).
  Install one (Debian 12 or newer: apt install python3 python3-venv python3-dev),
  or name one: make setup PYTHON=/path/to/python3.11"
}

check_machine() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "$1 cannot make virtual environments (Debian: apt install python3-venv)"
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
        stop "the C headers of $1 are missing: no Python.h (Debian: apt install python3-dev)"
    command -v "${CC:-gcc}" >/dev/null ||
        stop "no C compiler: ${CC:-gcc} not found (Debian: apt install gcc libc6-dev)"
}

make_venv() {
    # An environment whose interpreter is gone or whose pip is half installed is made anew.
    if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1 &&
        is_new_enough .venv/bin/python && [ -z "${PYTHON:-}" ]; then
        return
    fi
    python=$(find_python)
    check_machine "$python"
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_locked() {
    stamp=.venv/.installed-lock
    if cmp -s requirements/dev.txt "$stamp"; then return; fi
    say "installing $(grep -c '==' requirements/dev.txt) locked packages"
    .venv/bin/python -m pip install -q --require-hashes --no-deps --only-binary :all: \
        -r requirements/dev.txt || stop "installing the locked packages failed (see above)"
    cp requirements/dev.txt "$stamp"
}

run_logged() {
    log=.venv/build.log
    .venv/bin/python "$@" >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2; stop "that failed; all of its output: $log"; }
}

build_kernels() {
    say "building the compiled kernels"
    run_logged setup.py -q build_ext --inplace
}

install_editable() {
    stamp=.venv/.installed-metadata
    if cat pyproject.toml setup.py | cmp -s - "$stamp"; then return; fi
    say "installing concordat (editable)"
    run_logged -m pip install -q --no-deps --no-build-isolation -e .
    cat pyproject.toml setup.py >"$stamp"
}

make_venv
check_machine .venv/bin/python
install_locked
build_kernels
install_editable
say "ready: .venv/bin/concordat"
