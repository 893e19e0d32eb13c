#!/usr/bin/env bash
# The correlation filters against OpenCV's MOSSE, KCF and CSRT, by AUC and time, in one run:
#
#     benches/follow-against-opencv.sh [OTB_SEQUENCE...]
#
# over the given sequences and ten scenes that are generated first. OpenCV comes from PyPI, once,
# into a virtual environment under the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=${XDG_CACHE_HOME:-$HOME/.cache}/keepsight/opencv
if [ ! -x "$environment/bin/python" ] || ! "$environment/bin/python" -c 'import cv2' 2>/dev/null; then
    python3 -m venv "$environment" &&
        "$environment/bin/python" -m pip install --quiet opencv-contrib-python-headless ||
        { echo "skipped: OpenCV for Python can't be installed here" >&2; exit 0; }
fi

cargo build --release --locked -p keepsight-scene --example pictures
cargo build --release --locked -p keepsight-video-tracker --example follow
built=${CARGO_TARGET_DIR:-target}/release/examples

scenes=$(mktemp -d)
trap 'rm -rf "$scenes"' EXIT
nth=0
for parameters in \
    'targets=5' \
    'targets=8' \
    'targets=5&background=moving' \
    'targets=8&turn=15' \
    'targets=5&figures=mixed&shake=3' \
    'targets=8&figures=mixed&background=moving&light=0.4' \
    'targets=5&figures=mixed&turn=15' \
    'targets=8&figures=shapes' \
    'targets=5&figures=shapes&background=moving' \
    'targets=8&light=0.4'; do
    nth=$((nth + 1))
    "$built/pictures" "scene:?frames=300&noise=4&seed=$nth&$parameters" "$scenes/scene-$(printf %02d $nth)"
done

"$environment/bin/python" benches/follow_against_opencv.py "$built/follow" "$scenes"/* "$@"
