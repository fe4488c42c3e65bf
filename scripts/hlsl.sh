#!/bin/sh
# Has Microsoft's two shader compilers take every kernel as wgpu hands it to DirectX 12: FXC, which Windows brings along, and DXC. Both run
# under Wine, on any Debian machine.
#     scripts/hlsl.sh
# Needs gcc-mingw-w64-x86-64, wine64 and pip. The compilers are Microsoft's, and not ours to hand on: they are taken from what others ship
# with theirs (FXC of 2025 from PyPI's kivy_deps.angle, DXC of 2023 from the crate dxcwr), into target/hlsl (or $OPENELM_HLSL_FOLDER).
set -eu
cd "$(dirname "$0")/.."
folder=${OPENELM_HLSL_FOLDER:-$PWD/target/hlsl}
mkdir -p "$folder/fetch/src" "$folder/shaders"
if [ ! -e "$folder/d3dcompiler_47.dll" ]; then
    pip download --quiet --no-deps --platform win_amd64 --python-version 3.11 --only-binary=:all: \
        --dest "$folder/fetch" kivy_deps.angle==0.5.0
    python3 - "$folder" <<'PYTHON'
import glob, sys, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(f"{folder}/fetch/kivy_deps*.whl")[0])
[name] = [name for name in wheel.namelist() if name.endswith("/d3dcompiler_47.dll")]
open(f"{folder}/d3dcompiler_47.dll", "wb").write(wheel.read(name))
PYTHON
fi
if [ ! -e "$folder/dxil.dll" ]; then
    printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\ndxcwr = "=0.1.1"\n[workspace]\n' \
        >"$folder/fetch/Cargo.toml"
    : >"$folder/fetch/src/lib.rs"
    (cd "$folder/fetch" && cargo vendor --quiet vendor >/dev/null)
    cp "$folder/fetch/vendor/dxcwr/dxcompiler.dll" "$folder/fetch/vendor/dxcwr/dxil.dll" "$folder"
    rm -rf "$folder/fetch/vendor"
fi
x86_64-w64-mingw32-gcc -O1 -Wall -o "$folder/hlsl.exe" scripts/windows/hlsl.c
rm -f "$folder"/shaders/*.hlsl
OPENELM_HLSL="$folder/shaders" cargo test --quiet --all-features --lib hlsl::written -- --ignored >&2
export WINEPREFIX="$folder/wine" WINEDEBUG=-all WINEARCH=win64 WINEDLLOVERRIDES=d3dcompiler_47=n
cd "$folder"
wine hlsl.exe shaders
