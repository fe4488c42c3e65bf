#!/bin/sh
# What AMD's and Intel's compilers make of every kernel, on any Debian machine: their drivers in mesa-vulkan-drivers compile for chips that
# are not there. Writes a table a chip to tests/gpu/, whose difference shows what a change did. Fails where a kernel spills.
#     scripts/gpu_report.sh            every chip that there is a driver for
#     scripts/gpu_report.sh --check    only says whether the tables would change, which a change of kernels must bring along
#     scripts/gpu_report.sh --host     microseconds of the host a token, on Intel's driver with a kernel that executes nothing
# gfx1100 and navi21 are AMD's, by RADV's null device in the system's Mesa; gfx1200 needs Mesa 25, as does navi31, gfx1100's other name, which has
# cooperative matrices there and is asked about products of prompts only; dg2 (Intel's Arc) needs a library that stands in for the kernel:
# scripts/fetch_drivers.sh gets both. Inverse throughput ("cycles") and latency are the drivers' estimates, in which every
# loop runs several times, whatever its bound.
set -eu
cd "$(dirname "$0")/.."
drivers=${OPENELM_DRIVERS:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/openelm/drivers}
shim=$drivers/intel_noop/libintel_noop_drm_shim.so
mesa25=$drivers/mesa25/usr
system=/usr/share/vulkan/icd.d
version=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || echo unknown)

# The first of these files that is there.
first() {
    for file in "$@"; do [ -e "$file" ] && echo "$file" && return 0; done
    return 0
}
radv=$(first $system/radeon_icd*.json)
anv=$(first $system/intel_icd*.json)
radv25=$(first "$mesa25"/share/vulkan/icd.d/radeon_icd*.json)

# on CHIP COMMAND...: with the driver that compiles for it.
on() {
    chip=$1
    shift
    case $chip in
        dg2) env VK_ICD_FILENAMES="$anv" VK_DRIVER_FILES="$anv" INTEL_STUB_GPU_PLATFORM=dg2 LD_PRELOAD="$shim" "$@" ;;
        gfx1200 | navi31) env VK_ICD_FILENAMES="$radv25" VK_DRIVER_FILES="$radv25" RADV_FORCE_FAMILY="$chip" \
            LD_LIBRARY_PATH="$mesa25/lib/x86_64-linux-gnu" "$@" ;;
        *) env VK_ICD_FILENAMES="$radv" VK_DRIVER_FILES="$radv" RADV_FORCE_FAMILY="$chip" "$@" ;;
    esac
}

if [ "${1:-}" = --host ]; then
    [ -n "$anv" ] && [ -e "$shim" ] || { echo "gpu_report: scripts/fetch_drivers.sh gets what this takes" >&2; exit 1; }
    cargo build --release --quiet --bin openelm
    for model in 270M 1_1B; do
        for round in 1 2 3; do
            # What executes nothing computes wrongly.
            on dg2 "${CARGO_TARGET_DIR:-target}/release/openelm" bench -m shape:$model --dtype bf16 --compute-path gpu --no-tune \
                --skip-self-test -p 0 -n 200 --depth 0 --json 2>/dev/null |
                sed 's/.*"decode_tokens_per_s":{[^}]*"median":\([0-9.]*\).*/\1/' |
                awk -v model=$model '{ printf "%s: %.0f us of the host a token\n", model, 1e6 / $1 }'
        done
    done
    exit 0
fi

chips=""
[ -n "$radv" ] && chips="gfx1100 navi21"
[ -n "$radv25" ] && chips="$chips gfx1200 navi31"
[ -n "$anv" ] && [ -e "$shim" ] && chips="$chips dg2"
if [ -z "$chips" ]; then
    echo "gpu_report: no RADV here (Debian's package mesa-vulkan-drivers): nothing was asked" >&2
    exit 0
fi
folder=tests/gpu
[ "${1:-}" = --check ] && folder=$(mktemp -d)
mkdir -p "$folder"
# Not by cargo: what is preloaded would be so into compilers too.
cargo test --quiet --all-features --lib --no-run
tests=$(cargo test --all-features --lib --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
# report CHIP: writes its table.
report() {
    chip=$1
    mesa="Mesa $version"
    only=""
    case $chip in gfx1200 | navi31) mesa="Mesa 25" ;; esac
    [ "$chip" = navi31 ] && only=linear_prefill
    may_spill="nothing"
    # By Intel's driver of Mesa 22 up to eight registers of tiles with 64 sums a lane, which are there for the tuning: the usual tile has 32.
    [ "$chip" = dg2 ] && may_spill="linear_prefill_wide"
    OPENELM_GPU_REPORT="$folder/$chip.txt" OPENELM_GPU_REPORT_MAY_SPILL="$may_spill" OPENELM_GPU_REPORT_ONLY="$only" \
        on "$chip" "$tests" --quiet gpu_report::report --ignored >&2
    sed -i "1s/\$/, $mesa/" "$folder/$chip.txt"
}
# At the same time: each driver compiles on one thread.
jobs=""
for chip in $chips; do
    report "$chip" &
    jobs="$jobs $!"
done
for job in $jobs; do
    wait "$job"
done
[ "$folder" = tests/gpu ] && exit 0
for chip in gfx1100 navi21 gfx1200 navi31 dg2; do
    case " $chips " in
        *" $chip "*) ;;
        *) echo "gpu_report: no driver for $chip here (scripts/fetch_drivers.sh gets it): tests/gpu/$chip.txt was not checked" >&2; continue ;;
    esac
    table=tests/gpu/$chip.txt new=$folder/$chip.txt
    if [ ! -e "$table" ] || [ "$(head -n 1 "$table")" = "$(head -n 1 "$new")" ]; then
        diff -u "$table" "$new"
    else
        echo "gpu_report: $table is of another Mesa ($version is here): only looked for spills" >&2
    fi
done
