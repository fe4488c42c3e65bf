#!/bin/sh
# Checks that the library without features builds for a browser (wasm32-unknown-unknown): with rustup's toolchain where it has that target,
# else with Debian's, which builds the standard library itself.
#     scripts/wasm.sh              a minute or two the first time, in target/wasm (or $OPENELM_WASM_TARGET)
set -eu
cd "$(dirname "$0")/.."
. scripts/build_std.sh
build_std check wasm32-unknown-unknown "${OPENELM_WASM_TARGET:-target/wasm}" --no-default-features --lib
echo "wasm: the library without features builds"
