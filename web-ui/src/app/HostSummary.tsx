import { bytes, span } from "../format/units";
import { usePolled } from "../server/usePolled";
import type { HostReport } from "../server/wire";

/** The process and its machine in a line. */
export function HostSummary() {
  const { value: host } = usePolled<HostReport>("/v1/inspector/host", EVERY_MS);
  if (!host) return null;
  const hottest = host.temperatures.reduce<number | null>(
    (most, { celsius }) => (most === null ? celsius : Math.max(most, celsius)),
    null,
  );
  const parts = [
    `version ${host.version}`,
    `up ${span(Math.floor(host.uptime_seconds))}`,
    `${bytes(host.memory.resident_bytes)} resident`,
    host.disk && `${bytes(host.disk.available_bytes)} of disk left`,
    hottest !== null && `${hottest.toFixed(0)} °C`,
    host.throttling === true && "slowed down by heat",
    host.clock_synchronized === false && "clock not synchronised",
    host.abandoned_workers > 0 && `${host.abandoned_workers} abandoned workers`,
  ];
  return <p class="quiet">{parts.filter(Boolean).join(" · ")}</p>;
}

const EVERY_MS = 10_000;
