#!/bin/sh
# Packs the release binary for Linux into dist/: a tarball, and where dpkg-deb is, a .deb with menu entry, icon, manual pages and completions.
#   scripts/package.sh            packs
#   scripts/package.sh --try      installs the .deb on a fresh Debian in a folder (as root, with mmdebstrap), starts it, opens its window,
#                                 and removes it again
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
binary=${CARGO_TARGET_DIR:-target}/release/openelm
dist=dist
name=openelm-$version-$target

cargo build --release --locked
mkdir -p "$dist"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One tree, as it lies under /usr.
usr=$work/$name
install -D -m 755 "$binary" "$usr/bin/openelm"
strip "$usr/bin/openelm"
install -D -m 644 assets/desktop/openelm.desktop "$usr/share/applications/openelm.desktop"
install -D -m 644 assets/page/icon.svg "$usr/share/icons/hicolor/scalable/apps/openelm.svg"
mkdir -p "$usr/share/man/man1" "$usr/share/bash-completion/completions" "$usr/share/zsh/vendor-completions" \
    "$usr/share/fish/vendor_completions.d"
"$usr/bin/openelm" man "$usr/share/man/man1"
gzip -9n "$usr"/share/man/man1/*
"$usr/bin/openelm" completions bash >"$usr/share/bash-completion/completions/openelm"
"$usr/bin/openelm" completions zsh >"$usr/share/zsh/vendor-completions/_openelm"
"$usr/bin/openelm" completions fish >"$usr/share/fish/vendor_completions.d/openelm.fish"
scripts/pages.sh "$usr/share/doc/openelm"
install -D -m 644 assets/fonts/LICENSE "$usr/share/doc/openelm/LICENSE-Inter"
tar -C "$work" --owner=0 --group=0 --sort=name -czf "$dist/$name.tar.gz" "$name"
echo "$dist/$name.tar.gz"

command -v dpkg-deb >/dev/null || exit 0
architecture=$(dpkg --print-architecture)
deb=$dist/openelm_${version}_$architecture.deb
root=$work/deb
mkdir -p "$root/DEBIAN"
cp -a "$usr" "$root/usr"
mv "$root/usr/share/doc/openelm/LICENSE" "$root/usr/share/doc/openelm/copyright"
# The loader is opened when the program runs, so no tool finds it; what the window opens likewise is on every desktop.
needs=$(objdump -T "$binary" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -V | tail -n 1)
cat >"$root/DEBIAN/control" <<END
Package: openelm
Version: $version
Architecture: $architecture
Maintainer: The openelm project <openelm@localhost>
Installed-Size: $(du -sk "$root/usr" | cut -f 1)
Section: science
Priority: optional
Depends: libc6 (>= $needs), libgcc-s1, libvulkan1
Recommends: mesa-vulkan-drivers, libx11-6, libx11-xcb1, libxcursor1, libxi6, libxkbcommon-x11-0, libwayland-client0
Description: OpenELM language models on any GPU
 Runs Apple's OpenELM language models through Vulkan: a desktop window that
 chats and shows what every layer costs, a command line, and a server with
 OpenAI's API. Without a GPU it computes on Mesa's software driver.
END
dpkg-deb --root-owner-group --build "$root" "$deb" >/dev/null
echo "$deb"

[ "${1:-}" = --try ] || exit 0
fresh=$work/fresh
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
mmdebstrap --quiet --variant=minbase --include=xvfb,xauth,man-db "$suite" "$fresh"
cp "$deb" "$fresh/tmp/openelm.deb"
chroot "$fresh" sh -eu <<'END'
export DEBIAN_FRONTEND=noninteractive HOME=/root
{ apt-get update && apt-get install -y /tmp/openelm.deb; } >/tmp/apt.log 2>&1 || { tail /tmp/apt.log >&2; exit 1; }
openelm --version
openelm -p "Once upon a time" -n 8 --temperature 0
man -w openelm
# The window is there, and stays.
status=0
xvfb-run -a timeout 20 openelm window --data-dir /tmp/window || status=$?
[ "$status" -eq 124 ] || { echo "package: the window ended with $status" >&2; exit 1; }
apt-get purge -y openelm >/dev/null 2>&1
# What people made while they used it is theirs.
left=$(find / -xdev -path /proc -prune -o -path /sys -prune -o -path /tmp -prune -o -path /root -prune -o -iname '*openelm*' -print)
[ -z "$left" ] || { echo "package: left behind: $left" >&2; exit 1; }
END
echo "package: installs, starts, opens its window, and leaves nothing behind"
