#!/bin/sh
# Fuzz the C kernels, then the scanner, for some seconds each (60 unless said):
# tests/native/fuzz.sh [seconds]
# Needs clang with libFuzzer. Starts from honest signatures and entries, which no fuzzer would find.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/kernels"
python=${PYTHON:-.venv/bin/python}
"$python" -m tests.native.fuzz_corpus "$work/kernels"
"$python" -m tests.native.scan_corpus "$work"

# fuzz PROGRAM CORPUS
fuzz() {
    clang -std=c11 -g -O1 -Wno-unknown-pragmas -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -Iledger/native/c -I"$work" "tests/native/$1.c" \
        ledger/native/c/*.c -o "$work/$1"
    "$work/$1" -max_total_time="$seconds" -max_len=8192 -artifact_prefix=fuzz- \
        -print_final_stats=1 "$2"
}

fuzz fuzz "$work/kernels"
fuzz fuzz_scan "$work/corpus"
