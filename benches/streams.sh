#!/usr/bin/env bash
# What live streams cost, and what is dropped: 1, 4 and 16 of 640×480 at 15 fps, then one of each
# size at 30 fps, each for a minute, by long-run.sh.
#
#   MINUTES=1 streams.sh [KEEPSIGHT]
set -uo pipefail

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
export MINUTES=${MINUTES:-1}
for streams in 1 4 16; do
  STREAMS=$streams SIZE=640x480 FPS=15 "$here/long-run.sh" "$@"
done
for size in 640x480 1920x1080 3840x2160; do
  SIZE=$size FPS=30 "$here/long-run.sh" "$@"
done
