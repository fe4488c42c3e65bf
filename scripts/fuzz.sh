#!/bin/sh
# Reads spoiled files, requests and command lines for some time, and says how many: scripts/fuzz.sh [SECONDS, 60 if none]
#
# Which changes are made depends on OPENELM_TEST_SEED alone, the clock if it is not set. What fails prints the number of its input, and
#   OPENELM_TEST_SEED=... OPENELM_FUZZ_ONLY=... cargo test --all-features --test fuzz NAME
# reads it once more (`--bin openelm fuzz::NAME` for those of tests/fuzz/command_line.rs, `--lib window::fuzz::NAME` for those of tests/fuzz/imports.rs).
set -eu
cd "$(dirname "$0")/.."

total=${1:-60}
OPENELM_TEST_SEED="${OPENELM_TEST_SEED:-$(date +%s)}"
export OPENELM_TEST_SEED
threads=$(nproc 2>/dev/null || echo 2)
targets=$(grep -hoE 'fuzz\(("|$)' tests/fuzz/*.rs | wc -l)
OPENELM_FUZZ_SECONDS=$(awk "BEGIN { print $total * $threads / $targets }")

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo test --all-features --no-run --test fuzz --bin openelm --lib
export OPENELM_FUZZ_SECONDS
echo "fuzzing with OPENELM_TEST_SEED=$OPENELM_TEST_SEED, $OPENELM_FUZZ_SECONDS s for each of $targets targets"
failed=
for tests in "--test fuzz" "--bin openelm fuzz::" "--lib window::fuzz::"; do
    # shellcheck disable=SC2086 # words of their own
    cargo test --all-features --quiet $tests -- --nocapture --test-threads="$threads" >"$folder/out" 2>&1 || failed=yes
    cat "$folder/out" >>"$folder/all"
    grep '^fuzz ' "$folder/out" || true
    if [ -n "$failed" ]; then
        # What came before the end tells which input it was.
        tail -n 40 "$folder/out" >&2
        exit 1
    fi
done
sed -n 's/^fuzz .*: \([0-9]*\) executions.*/\1/p' "$folder/all" | awk '{ sum += $1 } END { print sum " executions, nothing found" }'
