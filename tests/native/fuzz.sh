#!/bin/sh
# Fuzz the C kernels for some seconds (60 unless said): tests/native/fuzz.sh [seconds]
# Needs clang with libFuzzer. Starts from honest signatures, which no fuzzer would find.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
"${PYTHON:-.venv/bin/python}" -m tests.native.fuzz_corpus "$work/corpus"
clang -std=c11 -g -O1 -Wno-unknown-pragmas -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=all -Iledger/native/c tests/native/fuzz.c ledger/native/c/*.c \
    -o "$work/fuzz"
"$work/fuzz" -max_total_time="$seconds" -max_len=8192 -artifact_prefix=fuzz- -print_final_stats=1 \
    "$work/corpus"
