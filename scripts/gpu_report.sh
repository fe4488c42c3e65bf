#!/bin/sh
# What AMD's and Intel's compilers make of every kernel, on any Debian machine: their drivers in mesa-vulkan-drivers compile for chips that
# are not there. Writes a table a chip to tests/gpu/, whose difference shows what a change did. Fails where a kernel spills.
#     scripts/gpu_report.sh            AMD's chips, by RADV's null device
#     scripts/gpu_report.sh --check    only says whether the tables would change, which a change of kernels must bring along
# Inverse throughput ("cycles") and latency are the driver's estimates, in which every loop runs eight times.
set -eu
cd "$(dirname "$0")/.."
icd=$(ls /usr/share/vulkan/icd.d/radeon_icd*.json 2>/dev/null | head -n 1)
if [ -z "$icd" ]; then
    echo "gpu_report: no RADV here (Debian's package mesa-vulkan-drivers): nothing was asked" >&2
    exit 0
fi
version=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || echo unknown)
folder=tests/gpu
[ "${1:-}" = --check ] && folder=$(mktemp -d)
mkdir -p "$folder"
for chip in gfx1100 navi21; do
    RADV_FORCE_FAMILY=$chip VK_ICD_FILENAMES=$icd VK_DRIVER_FILES=$icd OPENELM_GPU_REPORT="$folder/$chip.txt" \
        cargo test --quiet --all-features --lib gpu_report::report -- --ignored >&2
    sed -i "1s/\$/, Mesa $version/" "$folder/$chip.txt"
done
[ "$folder" = tests/gpu ] && exit 0
for table in tests/gpu/*.txt; do
    new="$folder/${table##*/}"
    if [ "$(head -n 1 "$table")" = "$(head -n 1 "$new")" ]; then
        diff -u "$table" "$new"
    else
        echo "gpu_report: $table is of another Mesa ($version is here): only looked for spills" >&2
    fi
done
