#!/usr/bin/env bash
# The whole way from frames to tracks, measured from outside on the release binary.
#
#   whole-way.sh [KEEPSIGHT]
#
# Prints frames a second of `track` on the generated scene at 640×480 with the time of each step,
# then of `run`: the time until health answers and until the tracker is ready, memory after
# ten seconds, and the binary's size.
set -euo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
keepsight=${1:-$root/target/release/keepsight}
port=${PORT:-8795}
work=$(mktemp -d)
trap 'kill "${pid-}" 2>/dev/null || true; rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work

echo "machine: $(nproc) × $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), load $(cut -d' ' -f1 /proc/loadavg)"
"$keepsight" build-info | grep -E '^(version|commit|profile|features)'

echo "track 'scene:?frames=600&size=640x480' (every frame through the detector)"
for _ in 1 2 3; do "$keepsight" track 'scene:?frames=600&size=640x480' 2>/dev/null; done

now() { date +%s%N; }
start=$(now)
"$keepsight" run --listen "127.0.0.1:$port" 2>"$work/log" &
pid=$!
until curl -sf "http://127.0.0.1:$port/livez" >/dev/null; do :; done
echo "health answers after $((($(now) - start) / 1000000)) ms"
until curl -sf "http://127.0.0.1:$port/v1/plugins/video-tracker/health" | grep -qE '"(INITIALIZED|RUNNING)"'; do :; done
echo "the tracker is ready after $((($(now) - start) / 1000000)) ms"
sleep 10
awk '/^VmRSS|^VmHWM|^Threads/ {print}' "/proc/$pid/status"
curl -sf "http://127.0.0.1:$port/v1/streams/scene" |
  sed -E 's/.*("rate":[0-9.]+).*("frames_in":[0-9]+,"frames_dropped":[0-9]+).*/run: \1 \2/'
echo "binary: $(stat -c %s "$keepsight") bytes"
