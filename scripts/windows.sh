#!/bin/sh
# Builds openelm for Windows on Debian and uses it under Wine, with Mesa's software Vulkan as the GPU.
#     scripts/windows.sh check     only whether everything compiles for it
#     scripts/windows.sh           builds the program (minutes) and tries it
#     scripts/windows.sh try       tries what was built before
#     scripts/windows.sh ci        builds it without its window and tries what Wine does the same way each time
# Needs gcc-mingw-w64-x86-64 wine64 xvfb, for the window xdotool imagemagick as well, and a standard library: `rustup target add
# x86_64-pc-windows-gnu`, or rustc-web cargo-web rust-web-src. Everything is made below target/windows (or $OPENELM_WINDOWS_TARGET), not
# optimised: compiling takes longer than all that is tried.
set -eu
cd "$(dirname "$0")/.."
. scripts/build_std.sh
folder=${OPENELM_WINDOWS_TARGET:-$PWD/target/windows}
triple=x86_64-pc-windows-gnu
if ! can_build $triple || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
    echo "windows: nothing was built; it takes gcc-mingw-w64-x86-64 and a standard library" >&2
    # A check finds nothing wrong where it cannot look.
    case "${1:-}" in check | ci) exit ;; esac
    exit 1
fi
export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=false
try="scripts/windows/try.py $folder/$triple/debug/openelm.exe"
case "${1:-}" in
check)
    build_std check $triple "$folder" --all-features --bins
    exit
    ;;
ci)
    build_std build $triple "$folder" --no-default-features --features cli,eval,server --bin openelm
    if command -v wine >/dev/null && command -v Xvfb >/dev/null; then
        exec $try --steady
    fi
    echo "windows: nothing is tried; it takes wine64 and xvfb" >&2
    exit
    ;;
try) ;;
'') build_std build $triple "$folder" --all-features --bin openelm ;;
*)
    echo "windows: $1 is not known; see the beginning of $0" >&2
    exit 2
    ;;
esac
exec $try --screenshots "$folder/screenshots"
