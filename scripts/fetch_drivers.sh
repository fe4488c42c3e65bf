#!/bin/sh
# Drivers that scripts/drivers.sh and scripts/gpu_report.sh can use beside the system's, on Debian 12; nothing of the system is replaced:
#     mesa25/       Mesa of bookworm-backports with the libraries that it needs: another software adapter, and newer chips of AMD's
#     swiftshader/  SwiftShader, Google's software adapter, as Debian's chromium has it
#     intel_noop/   Intel's driver with a library that stands in for its kernel and executes nothing, built from Mesa's source (a minute or two)
# and, where it is named, what has cooperative matrices (360 MB):
#     mesa_sid/     Mesa of Debian sid with all libraries that it needs, the C library too, so programs run by the loader that lies there
# They go to the folder that it prints: OPENELM_DRIVERS, or openelm/drivers where the system keeps caches. What is there is kept.
# Lists of packages are kept there too, so that no root is needed, except to install what building takes (meson, ninja and libraries).
set -eu
folder=${OPENELM_DRIVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/openelm/drivers}
mkdir -p "$folder"
echo "$folder"
command -v apt-get >/dev/null 2>&1 || { echo "fetch_drivers: only Debian 12 has the packages that this takes" >&2; exit 1; }

lists=$folder/apt
debian="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian"
apt() {
    program=$1
    shift
    "$program" -o Dir::Etc::SourceList="$lists/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$lists/lists" \
        -o Dir::Cache="$lists/cache" -o APT::Sandbox::User="$(id -un)" "$@" >&2
}
update() {
    [ -e "$lists/sources.list" ] && return 0
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    printf '%s\n' "deb $debian bookworm main" "deb-src $debian bookworm main" "deb $debian bookworm-backports main" >"$lists/sources.new"
    mv "$lists/sources.new" "$lists/sources.list"
    apt apt-get -q update || { rm "$lists/sources.list"; return 1; }
}

mesa25() {
    [ -e "$folder/mesa25/usr" ] && return 0
    update
    work=$(mktemp -d)
    (cd "$work" && apt apt-get -q download mesa-vulkan-drivers/bookworm-backports libdrm2/bookworm-backports \
        libdrm-amdgpu1/bookworm-backports libllvm15 libelf1 libxshmfence1 libxcb-present0)
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
    # Its files name its libraries without a folder; here they are told where they lie.
    for icd in "$work"/tree/usr/share/vulkan/icd.d/*.json; do
        sed -i "s|\"library_path\": \".*/\\{0,1\\}\\(lib[^/\"]*\\)\"|\"library_path\": \"$folder/mesa25/usr/lib/x86_64-linux-gnu/\\1\"|" "$icd"
    done
    mv "$work/tree" "$folder/mesa25"
    rm -r "$work"
}

mesa_sid() {
    [ -e "$folder/mesa_sid/usr" ] && return 0
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" >"$work/sources.list"
    # Nothing counts as installed, so that all comes along.
    : >"$work/status"
    for action in update "install -y --no-install-recommends --download-only mesa-vulkan-drivers libc6"; do
        # shellcheck disable=SC2086
        apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists" \
            -o Dir::Cache="$work/cache" -o Dir::State::status="$work/status" -o APT::Sandbox::User="$(id -un)" $action >&2
    done
    for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
    for icd in "$work"/tree/usr/share/vulkan/icd.d/*.json; do
        sed -i "s|\"library_path\": \".*/\\{0,1\\}\\(lib[^/\"]*\\)\"|\"library_path\": \"$folder/mesa_sid/usr/lib/x86_64-linux-gnu/\\1\"|" "$icd"
    done
    mv "$work/tree" "$folder/mesa_sid"
    rm -r "$work"
}

swiftshader() {
    [ -e "$folder/swiftshader/vk_swiftshader_icd.json" ] && return 0
    update
    work=$(mktemp -d)
    (cd "$work" && apt apt-get -q download chromium-common/bookworm)
    dpkg-deb --fsys-tarfile "$work"/*.deb |
        tar -x -C "$work" ./usr/lib/chromium/libvk_swiftshader.so ./usr/lib/chromium/vk_swiftshader_icd.json
    mv "$work/usr/lib/chromium" "$folder/swiftshader"
    rm -r "$work"
}

intel_noop() {
    [ -e "$folder/intel_noop/libintel_noop_drm_shim.so" ] && return 0
    for tool in meson ninja glslangValidator bison flex pkg-config; do
        command -v $tool >/dev/null 2>&1 && continue
        [ "$(id -u)" -eq 0 ] || { echo "fetch_drivers: $tool is missing; as root this would install it" >&2; return 1; }
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends meson ninja-build glslang-tools bison flex pkg-config \
            python3-mako libdrm-dev libexpat1-dev zlib1g-dev libelf-dev g++ dpkg-dev >&2
        break
    done
    update
    work=$(mktemp -d)
    (
        cd "$work"
        apt apt-get -q source mesa/bookworm
        cd mesa-*/
        # -Dbuildtype: unoptimised C compiles in half the time, but takes several times the host's microseconds that are to be measured.
        # Debian's own Python, which has the packages, before any other.
        PATH=/usr/bin:$PATH
        meson setup build -Dbuildtype=release -Dtools=drm-shim,intel -Dvulkan-drivers=intel -Dgallium-drivers= -Dplatforms= \
            -Dllvm=disabled -Dgles1=disabled -Dgles2=disabled -Dopengl=false -Degl=disabled -Dglx=disabled -Dgbm=disabled \
            -Dvulkan-layers= -Dvideo-codecs= -Dzstd=disabled -Dlibunwind=disabled -Dlmsensors=disabled >&2
        ninja -C build src/intel/tools/libintel_noop_drm_shim.so >&2
        mkdir -p "$folder/intel_noop"
        cp build/src/intel/tools/libintel_noop_drm_shim.so "$folder/intel_noop/"
    )
    rm -r "$work"
}

for part in "${@:-mesa25 swiftshader intel_noop}"; do
    for name in $part; do $name; done
done
