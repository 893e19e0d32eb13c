#!/usr/bin/env bash
# Tracks the sequences of an evaluation data folder with `keepsight track`, scores the results
# against their ground truth, and prints each figure beside its bar.
#
#   tracking-scores.sh [DATA]
#
# DATA (or KEEPSIGHT_DATA) holds a folder for each set, and in it one for each sequence, laid out
# as the MOT Challenge does: seqinfo.ini, gt/gt.txt, det/det.txt, and where they are known gmc.txt
# and img1/. SCORE_TRACKS is the program that scores; without it, tools/score-tracks beside DATA,
# else score-tracks on the PATH. KEEPSIGHT is the binary; without it, target/release/keepsight.
# Beside those sets, the generated scene is tracked from its truth and noise, by the example
# scene_detections. What is missing is skipped, which is said. It ends with 1 where a bar is not
# reached.
set -euo pipefail

data=${1:-${KEEPSIGHT_DATA:-}}
keepsight=${KEEPSIGHT:-$(dirname "$0")/../target/release/keepsight}

skip() {
  echo "skipped: $*"
}

scorer=${SCORE_TRACKS:-$data/../tools/score-tracks}
[[ -x $scorer ]] || scorer=$(command -v score-tracks) || {
  skip "there is no score-tracks beside the data or on the PATH; SCORE_TRACKS names one"
  exit 0
}
[[ -x $keepsight ]] || {
  echo "$keepsight is missing: cargo build --release" >&2
  exit 2
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
short=0

# The value of a key in a sequence's seqinfo.ini.
info() {
  sed -n "s/^$2 *= *\([^ \r]*\).*/\1/p" "$1/seqinfo.ini"
}

# Tracks given detections. run_given SEQUENCE OUT [OPTION...]
run_given() {
  local sequence=$1 out=$2
  shift 2
  "$keepsight" track --detections "$sequence/det/det.txt" --tracks "$out" \
    --size "$(info "$sequence" imWidth)x$(info "$sequence" imHeight)" \
    --fps "$(info "$sequence" frameRate)" "$@" >/dev/null
}

# Scores what is in $results/NAME and prints it. score NAME SET TITLE BAR...
score() {
  local name=$1 set=$2 title=$3
  shift 3
  "$scorer" "$set" "$results" "$name" --json | python3 -c '
import json, sys
title, *bars = sys.argv[1:]
[row] = json.load(sys.stdin)
short = False
print(f"{title:44} ", end="")
for bar in bars:
    metric, least = bar.split(">=")
    reached = row[metric] >= float(least)
    short |= not reached
    verdict = "" if reached else f", short by {float(least) - row[metric]:.2f}"
    print(f"{metric} {row[metric]:.2f} (bar {least}{verdict})  ", end="")
others = [metric for metric in ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW") if not any(bar.startswith(metric + ">=") for bar in bars)]
print(" ".join(f"{metric} {row[metric]:.2f}".removesuffix(".00") for metric in others))
sys.exit(short)
' "$title" "$@" || short=1
}

# Tracks a set's sequences from given detections and scores them.
# given NAME SET TITLE MOTION BAR...
given() {
  local name=$1 set=$2 title=$3 motion=$4
  shift 4
  if [[ ! -d $set ]]; then
    skip "$title: there is no $set"
    return
  fi
  mkdir -p "$results/$name"
  local sequence options
  for sequence in "$set"/*/; do
    sequence=${sequence%/}
    [[ -f $sequence/gt/gt.txt ]] || continue
    options=()
    if [[ $motion == yes && -f $sequence/gmc.txt ]]; then
      options=(--camera-motion "$sequence/gmc.txt")
    fi
    run_given "$sequence" "$results/$name/$(basename "$sequence").txt" "${options[@]}"
  done
  score "$name" "$set" "$title" "$@"
}

# Tracks a sequence from its pictures, with the bundled model, and scores it.
# pictures NAME SET SEQUENCE TITLE BAR...
pictures() {
  local name=$1 sequence=$data/$2/$3 title=$4
  shift 4
  if [[ ! -d $sequence/img1 ]]; then
    skip "$title: there are no pictures in $sequence/img1"
    return
  fi
  local set=$results/sets/$name
  mkdir -p "$results/$name" "$set"
  ln -s "$(realpath "$sequence")" "$set/$(basename "$sequence")"
  "$keepsight" track "$sequence" --tracks "$results/$name/$(basename "$sequence").txt" >/dev/null
  score "$name" "$set" "$title" "$@"
}

scene=${SCENE_DETECTIONS:-$(dirname "$keepsight")/examples/scene_detections}
if [[ -x $scene ]]; then
  "$scene" "$results/sets/scene" 20
  given scene "$results/sets/scene" "scene, 20 targets, truth and noise" no "HOTA>=85"
  "$scene" "$results/sets/seen" 20 900 0.3
  given seen "$results/sets/seen" "the same, of who is hidden to 70 % nothing" no
else
  skip "there is no $scene: cargo build --release --example scene_detections"
fi

if [[ -z $data || ! -d $data ]]; then
  skip "no evaluation data folder: give it as an argument or as KEEPSIGHT_DATA"
  exit "$short"
fi
given mot17 "$data/mot17_val_half" "MOT17 halves, camera motion" yes "HOTA>=57.5" "IDF1>=68.5" "MOTA>=64.5"
given mot17_still "$data/mot17_val_half" "MOT17 halves, without camera motion" no "HOTA>=56"
given mot15 "$data/mot15_train" "MOT15" yes "HOTA>=38"
given dancetrack "$data/dancetrack_val" "DanceTrack" yes "HOTA>=62.5"
pictures campus mot15_train TUD-Campus "TUD-Campus, from pictures" "HOTA>=50" "IDF1>=68" "MOTA>=60"

exit "$short"
