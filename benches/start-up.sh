#!/usr/bin/env bash
# How fast two release binaries start and what they hold, each against its budget, without a
# Vulkan driver: the smallest build that tracks anything, and the default one. Five starts each;
# the median counts. Times are seen from outside, by a client that asks again and again, and so
# are late by up to one of its questions.
#
#   start-up.sh SMALLEST DEFAULT
set -euo pipefail

smallest=${1:?"usage: start-up.sh SMALLEST DEFAULT"}
default=${2:?"usage: start-up.sh SMALLEST DEFAULT"}
port=${PORT:-8796}
starts=5
work=$(mktemp -d)
trap 'kill "${pid-}" 2>/dev/null || true; rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work/state VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# await PATH [PATTERN]: until PATH is answered with 200 and has PATTERN in it, a minute at most.
await() {
  local path=$1 pattern=${2-} answer='' end=$(($(milliseconds) + 60000))
  until answer=$(curl -sf "http://127.0.0.1:$port$path") && [[ $answer =~ $pattern ]]; do
    if (($(milliseconds) > end)) || ! kill -0 "$pid" 2>/dev/null; then
      echo "start-up: $path did not answer; the log:" >&2
      cat "$work/log" >&2
      exit 1
    fi
  done
}

median() { sort -n | sed -n "$(((starts + 1) / 2))p"; }

# report WHAT UNIT BUDGET < figures, one a line.
report() {
  local figure
  figure=$(median)
  awk -v what="$1" -v unit="$2" -v budget="$3" -v figure="$figure" 'BEGIN {
    printf "%-52s %6.1f %s, budget %s %s (%.2f of it)\n", what, figure, unit, budget, unit,
      figure / budget
  }'
}

# measure BINARY HEALTH_PATH HEALTH_PATTERN READY_PATH READY_PATTERN
measure() {
  local begun=
  rm -f "$work"/{first,second,resident}
  for ((i = 0; i < starts; i++)); do
    begun=$(milliseconds)
    "$1" run --listen "127.0.0.1:$port" 2>"$work/log" >/dev/null &
    pid=$!
    await "$2" "$3"
    echo $(($(milliseconds) - begun)) >>"$work/first"
    await "$4" "$5"
    echo $(($(milliseconds) - begun)) >>"$work/second"
    sleep 10
    awk '/^VmRSS/ {print $2 / 1024}' "/proc/$pid/status" >>"$work/resident"
    kill "$pid"
    wait "$pid" || true
  done
}

echo "load before: $(cut -d' ' -f1 /proc/loadavg) on $(nproc) processors"
measure "$smallest" /readyz '' /v1/plugins ''
report "smallest build with scene and frame-stats: ready" ms 50 <"$work/first"
report "the same: resident after ten seconds" MiB 20 <"$work/resident"
measure "$default" /livez '' /v1/plugins/video-tracker/health '"(INITIALIZED|RUNNING)"'
report "default build: health answers" ms 50 <"$work/first"
report "the same: video-tracker INITIALIZED" ms 500 <"$work/second"
report "the same: resident after ten seconds of tracking" MiB 80 <"$work/resident"
