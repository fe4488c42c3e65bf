#!/bin/sh
# Installs what openelm needs beyond a Rust toolchain, if it is missing: a C linker for Rust, the Vulkan loader, and a Vulkan driver
# (a software one where there is no GPU's). Says what it will do. Without root it prints the command and stops.
# macOS and Windows bring everything along.
set -eu

[ "$(uname -s)" = Linux ] || exit 0

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: no Rust toolchain here: install one from https://rustup.rs, then run this again" >&2
    exit 1
fi

have_linker() { command -v cc >/dev/null 2>&1; }

have_loader() {
    for folder in /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /lib/*-linux-gnu* /usr/lib/*-linux-gnu*; do
        [ -e "$folder/libvulkan.so.1" ] && return 0
    done
    ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'
}

have_driver() {
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    for folder in /usr/share /usr/local/share /etc "${XDG_DATA_HOME:-${HOME:-}/.local/share}"; do
        for file in "$folder"/vulkan/icd.d/*.json; do
            [ -e "$file" ] && return 0
        done
    done
    return 1
}

if command -v apt-get >/dev/null 2>&1; then
    refresh="apt-get update && " install="apt-get install -y --no-install-recommends"
    linker="gcc libc6-dev" loader=libvulkan1 driver=mesa-vulkan-drivers
elif command -v dnf >/dev/null 2>&1; then
    refresh="" install="dnf install -y"
    linker=gcc loader=vulkan-loader driver=mesa-vulkan-drivers
elif command -v pacman >/dev/null 2>&1; then
    refresh="" install="pacman -Sy --needed --noconfirm"
    linker=gcc loader=vulkan-icd-loader driver=vulkan-swrast
else
    install=""
fi

missing=""
have_linker || missing="$missing ${linker-a C compiler}"
have_loader || missing="$missing ${loader-the Vulkan loader}"
have_driver || missing="$missing ${driver-a Vulkan driver (Mesa's lavapipe where there is no GPU)}"
[ -n "$missing" ] || exit 0

if [ -z "$install" ]; then
    echo "setup: none of apt, dnf and pacman is here; install by your system's own means:$missing" >&2
    exit 1
fi
command="$refresh$install$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: these are missing:$missing" >&2
    echo "setup: as root, run this, then make again:" >&2
    echo "    sudo sh -c '$command'" >&2
    exit 1
fi
echo "setup: these are missing:$missing" >&2
echo "setup: running: $command" >&2
DEBIAN_FRONTEND=noninteractive sh -c "$command" >&2
