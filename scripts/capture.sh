#!/bin/sh
# The animated capture that README shows: opens the window on a display of its own, has the demo model write, goes through the views of the timings while it
# does, and puts the frames together as a GIF of less than 2 MB.
#   scripts/capture.sh [FILE]
# APPEARANCE=light for the other theme; OPENELM for another binary than the release build. Needs Xvfb, xdotool and ImageMagick (import, convert).
set -eu
cd "$(dirname "$0")/.."
out=${1:-assets/screenshots/openelm.gif}
# Small enough that nothing needs to be made smaller, and that frames come often where the processor draws (`pace.rs`).
size=1120x660
frames_a_second=5
for tool in Xvfb xdotool import convert; do
    command -v "$tool" >/dev/null || {
        echo "capture: $tool is missing (apt install xvfb xdotool imagemagick)" >&2
        exit 1
    }
done
binary=${OPENELM:-target/release/openelm}
[ -n "${OPENELM:-}" ] || cargo build --release --quiet
work=$(mktemp -d)
display=:$(awk 'BEGIN { srand(); print 100 + int(rand() * 800) }')
Xvfb "$display" -screen 0 "${size}x24" -nolisten tcp >/dev/null 2>&1 &
server=$!
window=$server
camera=$server
trap 'kill "$camera" "$window" "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
sleep 2
# One thread for the model, so that another draws.
export DISPLAY="$display" WINIT_X11_SCALE_FACTOR=1 OPENELM_THREADS=1
unset WAYLAND_DISPLAY
# The list of conversations is empty, and would take room.
printf '{"appearance":"%s","trace_all":true,"sidebar":false,"timings":true}' "${APPEARANCE:-dark}" >"$work/settings.json"
"$binary" window --model demo --data-dir "$work" >/dev/null 2>&1 &
window=$!
id=$(xdotool search --sync --onlyvisible --name '^OpenELM$' | head -1)
xdotool windowmove "$id" 0 0 windowsize --sync "$id" "${size%x*}" "${size#*x}"
xdotool windowfocus "$id"
sleep 5
# Frames, each named by when it was taken, in hundredths of a second.
(
    while :; do
        import -window root "$work/$(date +%s%2N).mpc" 2>/dev/null || exit 0
        sleep "0.$((10 / frames_a_second))"
    done
) &
camera=$!
sleep 1
xdotool type --delay 45 'Once upon a time there was a king'
sleep 0.6
xdotool key Return
for view in 2 1 3 4 2; do
    sleep 2.2
    xdotool key "ctrl+$view"
done
sleep 2.5
kill "$camera" 2>/dev/null || true
wait "$camera" 2>/dev/null || true
# As fast as it was: each frame stays until the next was taken.
before=
set --
for frame in "$work"/*.mpc; do
    now=$(basename "$frame" .mpc)
    [ -z "$before" ] || set -- "$@" -delay "$((now - before))" "$work/$before.mpc"
    before=$now
done
# The last is looked at longer.
set -- "$@" -delay 250 "$work/$before.mpc"
mkdir -p "$(dirname "$out")"
convert -loop 0 "$@" +dither -colors 128 -fuzz 1% -layers OptimizePlus -layers OptimizeTransparency "$out"
bytes=$(wc -c <"$out")
echo "capture: $out, $(($# / 3)) frames, $((bytes / 1024)) kB"
[ "$bytes" -lt 2000000 ] || {
    echo "capture: that is more than 2 MB" >&2
    exit 1
}
