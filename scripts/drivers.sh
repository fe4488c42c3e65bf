#!/bin/sh
# The golden tests (Apple's own numbers), those of single kernels and those of equal bits on every driver that is here: the system's llvmpipe
# with vectors of 128, 256 and 512 bits (subgroups of 4, 8 and 16 lanes), and Mesa 25's and SwiftShader, which scripts/fetch_drivers.sh gets.
# Prints a table; fails where a test does. Every one runs them under WebGPU's default limits too.
# Where `scripts/fetch_drivers.sh mesa_sid` was called, prompts in f16 are tested by the cooperative matrices of that Mesa's llvmpipe.
#     scripts/drivers.sh [NAME...]     all, or those of these names
set -eu
cd "$(dirname "$0")/.."
drivers=${OPENELM_DRIVERS:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/openelm/drivers}
mesa25=$drivers/mesa25/usr
sid=$drivers/mesa_sid/usr
lavapipe=/usr/share/vulkan/icd.d/lvp_icd.x86_64.json
swiftshader=$drivers/swiftshader/vk_swiftshader_icd.json

cargo test --quiet --all-features --lib --no-run
tests=$(cargo test --all-features --lib --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
log=$(mktemp -d)
failed=0
loader=""
filters="inside::golden inside::adapters inside::kernels inside::consistency inside::core"

# try NAME ICD VARIABLE=VALUE...: the tests on one driver.
try() {
    name=$1 icd=$2
    shift 2
    case " $wanted " in *" $name "* | "  ") ;; *) return 0 ;; esac
    if [ ! -e "$icd" ]; then
        printf '%-16s not here: %s\n' "$name" "$icd"
        return 0
    fi
    begin=$(date +%s)
    outcome=passed
    env "$@" VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd" NODEVICE_SELECT=1 \
        timeout 3600 $loader "$tests" $filters --test-threads 2 >"$log/$name" 2>&1 ||
        { outcome=FAILED failed=1; }
    printf '%-16s %s in %s s: %s\n' "$name" "$outcome" "$(($(date +%s) - begin))" "$(sed -n 's/^test result: //p' "$log/$name")"
    sed -n 's/^test \(.*\) \.\.\. FAILED$/    \1/p' "$log/$name"
}

wanted="$*"
for bits in 128 256 512; do
    try "llvmpipe-$bits" "$lavapipe" LP_NATIVE_VECTOR_WIDTH=$bits
done
try mesa25 "$mesa25/share/vulkan/icd.d/lvp_icd.json" LD_LIBRARY_PATH="$mesa25/lib/x86_64-linux-gnu"
try swiftshader "$swiftshader" NODEVICE_SELECT=1
# Programs of another C library need that one's loader.
loader="$sid/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path $sid/lib/x86_64-linux-gnu"
filters=inside::matrices
try mesa-sid "$sid/share/vulkan/icd.d/lvp_icd.json" NODEVICE_SELECT=1
[ $failed -eq 0 ] || echo "what they said is in $log" >&2
exit $failed
