#!/bin/sh
# Has Microsoft's two shader compilers take every kernel as wgpu hands it to DirectX 12: FXC, which Windows brings along, and DXC. Both run
# under Wine, on any Debian machine.
#     scripts/hlsl.sh [fxc|dxc]     both, or one of them: FXC takes hours for all of the path for software adapters
# Needs gcc-mingw-w64-x86-64, wine64 and pip. The compilers are Microsoft's, and not ours to hand on: they are taken from what others ship
# with theirs on PyPI (FXC of 2025 with kivy_deps.angle, DXC 1.9.2602 with slangpy), into target/hlsl (or $OPENELM_HLSL_FOLDER).
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
fxc) models=5 ;;
dxc) models=6 ;;
'') models= ;;
*)
    echo "hlsl: $1 is not known; see the beginning of $0" >&2
    exit 2
    ;;
esac
folder=${OPENELM_HLSL_FOLDER:-$PWD/target/hlsl}
mkdir -p "$folder/shaders"
# take PACKAGE FILE...: what a wheel for Windows brings along.
take() {
    wheel=$1
    shift
    [ -e "$folder/$1" ] && return 0
    pip download --quiet --no-deps --platform win_amd64 --python-version 3.11 --only-binary=:all: --dest "$folder/fetch" "$wheel"
    python3 - "$folder" "$@" <<'PYTHON'
import glob, sys, zipfile
folder, *files = sys.argv[1:]
[path] = glob.glob(f"{folder}/fetch/*.whl")
wheel = zipfile.ZipFile(path)
for file in files:
    [name] = [name for name in wheel.namelist() if name.endswith(f"/{file}")]
    open(f"{folder}/{file}", "wb").write(wheel.read(name))
PYTHON
    rm -r "$folder/fetch"
}
take kivy_deps.angle==0.5.0 d3dcompiler_47.dll
take slangpy==0.43.1 dxil.dll dxcompiler.dll
x86_64-w64-mingw32-gcc -O1 -Wall -o "$folder/hlsl.exe" scripts/windows/hlsl.c
rm -f "$folder"/shaders/*.hlsl
OPENELM_HLSL="$folder/shaders" cargo test --quiet --all-features --lib hlsl::written -- --ignored >&2
export WINEPREFIX="$folder/wine" WINEDEBUG=-all WINEARCH=win64 WINEDLLOVERRIDES=d3dcompiler_47=n
cd "$folder"
wine hlsl.exe shaders $models
