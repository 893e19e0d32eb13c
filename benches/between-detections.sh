#!/usr/bin/env bash
# What following is worth where the detector looks at every K-th frame: coasting against following.
#
#     benches/between-detections.sh SCORE SET FILM [KEEPSIGHT]
#
# SET is a folder of the MOT Challenge's kind with the one sequence PETS09-S2L1 (seqinfo.ini, gt,
# det) or with any others that have pictures in img1; FILM is PETS09-S2L1's film, or - for none.
# SCORE is a program that scores a folder of results: SCORE SET RESULTS. ffmpeg makes pictures of
# the film.
set -euo pipefail
cd "$(dirname "$0")/.."
score=${1:?a program that scores} set=${2:?a folder of sequences} film=${3:--}
keepsight=${4:-target/release/keepsight}
for needed in "$score" "$set" "$keepsight"; do
    [ -e "$needed" ] || { echo "skipped: there is no $needed" >&2; exit 0; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work/state
for follow in true false; do
    printf 'version = 1\n[plugins.video-tracker.config]\ngpu = "off"\nfollow = %s\n' $follow >"$work/$follow.toml"
done
for sequence in "$set"/*/; do
    name=$(basename "$sequence")
    pictures=$sequence
    if [ ! -d "$sequence/img1" ]; then
        if [ "$name" != PETS09-S2L1 ] || [ ! -e "$film" ] || ! command -v ffmpeg >/dev/null; then
            echo "skipped $name: no pictures" >&2
            continue
        fi
        pictures=$work/$name
        mkdir -p "$pictures/img1"
        cp "$sequence/seqinfo.ini" "$pictures"
        ffmpeg -v error -i "$film" -q:v 2 "$pictures/img1/%06d.jpg"
    fi
    for every in 1 2 3 5 10; do
        for follow in true false; do
            [ $follow = true ] && how=following || how=coasting
            mkdir -p "$work/results/$how-$every"
            "$keepsight" track "$pictures" --config "$work/$follow.toml" \
                --detections "$sequence/det/det.txt" --detect-every $every \
                --tracks "$work/results/$how-$every/$name.txt" >/dev/null
        done
    done
done
"$score" "$set" "$work/results"
