#!/bin/sh
# Copies what there is to read, as it lies here, so that the links between pages lead somewhere.
#     scripts/pages.sh FOLDER
set -eu
to=${1:?scripts/pages.sh: into which folder}
cd "$(dirname "$0")/.."
mkdir -p "$to/assets/demo" "$to/tests"
cp README.md ARCHITECTURE.md CHANGELOG.md LICENSE "$to"
cp -R examples "$to"
cp -R assets/docs assets/screenshots "$to/assets"
cp assets/demo/*.md "$to/assets/demo"
cp -R tests/gpu "$to/tests"
chmod -R u=rwX,go=rX "$to"
