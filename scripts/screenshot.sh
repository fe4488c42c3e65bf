#!/bin/sh
# Opens the window on a display of its own, has the demo model write, and saves what it looks like.
#   scripts/screenshot.sh FOLDER [WIDTHxHEIGHT] [SCALE]
# APPEARANCE=light for the other theme; OPENELM for another binary than the release build. Needs Xvfb, xdotool and ImageMagick's `import`.
set -eu
cd "$(dirname "$0")/.."
out=${1:?where to: scripts/screenshot.sh FOLDER [WIDTHxHEIGHT] [SCALE]}
size=${2:-1280x800}
scale=${3:-1}
for tool in Xvfb xdotool import; do
    command -v "$tool" >/dev/null || {
        echo "screenshot: $tool is missing (apt install xvfb xdotool imagemagick)" >&2
        exit 1
    }
done
mkdir -p "$out"
binary=${OPENELM:-target/release/openelm}
[ -n "${OPENELM:-}" ] || cargo build --release --quiet
data=$(mktemp -d)
display=:$(awk 'BEGIN { srand(); print 100 + int(rand() * 800) }')
Xvfb "$display" -screen 0 "${size}x24" -nolisten tcp >/dev/null 2>&1 &
server=$!
trap 'kill "$window" "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
window=$server
sleep 2
export DISPLAY="$display" WINIT_X11_SCALE_FACTOR="$scale"
unset WAYLAND_DISPLAY
printf '{"appearance":"%s","trace_all":true}' "${APPEARANCE:-dark}" >"$data/settings.json"
"$binary" window --data-dir "$data" &
window=$!
id=$(xdotool search --sync --onlyvisible --name '^OpenELM$' | head -1)
xdotool windowmove "$id" 0 0 windowsize --sync "$id" "${size%x*}" "${size#*x}"
xdotool windowfocus "$id"
sleep 4
import -window root "$out/first-run.png"
xdotool type 'Once upon a time there was a king'
xdotool key Return
sleep 1
import -window root "$out/streaming.png"
sleep 4
view() {
    xdotool key "$1"
    sleep 1.5
    import -window root "$out/$2.png"
}
view ctrl+1 heat
view ctrl+2 layers
view ctrl+3 flame
view ctrl+4 kernels
view ctrl+5 memory
view ctrl+p probabilities
view ctrl+o models
echo "screenshot: $out"
