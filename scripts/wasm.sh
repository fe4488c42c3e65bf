#!/bin/sh
# Checks that the library without features builds for browsers (wasm32-unknown-unknown), in target/wasm (or $OPENELM_WASM_TARGET).
#     scripts/wasm.sh
set -eu
cd "$(dirname "$0")/.."
. scripts/build_std.sh
if ! can_build wasm32-unknown-unknown; then
    echo "wasm: nothing was checked" >&2
    exit
fi

build_std check wasm32-unknown-unknown "${OPENELM_WASM_TARGET:-$PWD/target/wasm}" --no-default-features --lib
