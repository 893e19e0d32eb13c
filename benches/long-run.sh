#!/usr/bin/env bash
# Lets the tracker follow generated streams for a long time on two cores without a GPU, and reports
# whether memory stays flat, how late results are, and what was dropped.
#
#   MINUTES=30 STREAMS=1 SIZE=1920x1080 FPS=30 TARGETS=5 long-run.sh [KEEPSIGHT]
#
# Memory is the process's resident size, read each second; the first tenth of the time (a minute at
# most) is left out, and the rest is told by quarters. Latency is from a frame's capture until its
# result is there, from the buckets of /metrics, interpolated within the one that has it. It ends
# with 1 if the last quarter's median is more than 3 % above the first's.
set -euo pipefail

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
keepsight=${1:-$root/target/release/keepsight}
minutes=${MINUTES:-30} streams=${STREAMS:-1} size=${SIZE:-1920x1080} fps=${FPS:-30}
targets=${TARGETS:-5} port=${PORT:-8797}
work=$(mktemp -d)
trap 'kill "${pid-}" 2>/dev/null || true; rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work/state

{
  printf 'version = 1\n[server]\nlisten = "127.0.0.1:%s"\n' "$port"
  printf '[plugins.tracker]\nuse = "video-tracker"\nconfig = { gpu = "off" }\n'
  for ((i = 1; i <= streams; i++)); do
    printf '[streams.s%s]\nsource = "scene:?size=%s&fps=%s&targets=%s&seed=%s"\nplugins = ["tracker"]\n' \
      "$i" "$size" "$fps" "$targets" "$i"
  done
} >"$work/keepsight.toml"

pinned=()
if command -v taskset >/dev/null && (($(nproc) > 2)); then
  pinned=(taskset -c 0,1)
fi
"${pinned[@]}" "$keepsight" run --config "$work/keepsight.toml" 2>"$work/log" >/dev/null &
pid=$!
end=$(($(date +%s) + 60))
until curl -sf "http://127.0.0.1:$port/v1/plugins/tracker/health" | grep -q '"RUNNING"'; do
  if (($(date +%s) > end)) || ! kill -0 "$pid" 2>/dev/null; then
    echo "long-run: the tracker is not running; the log:" >&2
    cat "$work/log" >&2
    exit 2
  fi
  sleep 0.1
done

end=$(($(date +%s) + minutes * 60))
while (($(date +%s) < end)); do
  awk '/^VmRSS/ {print $2}' "/proc/$pid/status" >>"$work/resident" || {
    echo "long-run: the process ended; the log:" >&2
    tail -n 40 "$work/log" >&2
    exit 2
  }
  sleep 1
done
ticks=$(awk '{print $14 + $15}' "/proc/$pid/stat")
curl -sf "http://127.0.0.1:$port/metrics" >"$work/metrics"
curl -sf "http://127.0.0.1:$port/v1/plugins/tracker/health" >"$work/health"

python3 - "$work" "$ticks" "$(getconf CLK_TCK)" "$streams" "$size" "$fps" "$targets" <<'END'
import json, re, statistics, sys

work, ticks, hertz, streams, size, fps, targets = sys.argv[1:]
resident = [int(line) / 1024 for line in open(f"{work}/resident")]
metrics = open(f"{work}/metrics").read()
seconds = len(resident)
warm = resident[min(60, seconds // 10):]
quarter = max(1, len(warm) // 4)
medians = [statistics.median(warm[i * quarter:(i + 1) * quarter]) for i in range(4)]


def total(name):
    return sum(float(value) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", metrics, re.M))


def quantile(name, share):
    """Over all streams, in ms."""
    below = {}
    for edge, count in re.findall(rf'^{name}_bucket{{[^}}]*le="([^"]+)"}} (\S+)$', metrics, re.M):
        edge = float(edge.replace("+Inf", "inf"))
        below[edge] = below.get(edge, 0) + float(count)
    wanted, before, under = share * max(below.values(), default=0), 0.0, 0.0
    for edge in sorted(below):
        if below[edge] >= wanted:
            if edge == float("inf"):
                return 1e3 * before
            inside = below[edge] - under
            return 1e3 * (before + (edge - before) * ((wanted - under) / inside if inside else 1))
        before, under = edge, below[edge]
    return 0.0


processed = total("keepsight_stream_frames_processed_total")
dropped = total("keepsight_stream_frames_dropped_total")
frames = total("keepsight_stream_frames_total")
name = "keepsight_stream_latency_seconds"
print(f"{streams} × {size} at {fps} fps, {targets} targets, {seconds} s:")
print(f"  frames {frames:.0f}, with a result {processed:.0f}, dropped {dropped:.0f} ({100 * dropped / max(frames, 1):.1f} %)")
print(f"  latency p50 {quantile(name, 0.5):.1f}, p99 {quantile(name, 0.99):.1f} ms")
print(f"  resident by quarters {', '.join(f'{m:.1f}' for m in medians)} MiB, at most {max(resident):.1f}")
print(f"  processor {int(ticks) / int(hertz) / seconds:.2f} cores")
for degraded in json.load(open(f"{work}/health"))["degraded"]:
    print(f"  {degraded['code']}: {degraded['reason']}")
sys.exit(medians[3] > 1.03 * medians[0])
END
