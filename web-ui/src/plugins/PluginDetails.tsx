import type { ComponentChildren } from "preact";

import { bytes, clock, count, milliseconds, span } from "../format/units";
import { usePolled } from "../server/usePolled";
import type { Fault, PluginReport, ServerEvent, Transition } from "../server/wire";

/** All that the server knows of a plugin, backtraces included. */
export function PluginDetails({ plugin }: { plugin: PluginReport }) {
  const path = `/v1/inspector/plugins/${encodeURIComponent(plugin.name)}`;
  const concerns = (event: ServerEvent) => event.plugin === plugin.name;
  // The list has no backtraces: looking their names up costs the server tens of milliseconds.
  const { value } = usePolled<PluginReport>(path, EVERY_MS, concerns);
  const shown = value ?? plugin;
  const { manifest, timings, memory } = shown;

  return (
    <div class="details">
      {manifest && (
        <Part title="What it is">
          <p>
            {manifest.name} {manifest.version} ({manifest.type}): {manifest.capabilities.join(", ")}
          </p>
          <ul>
            {manifest.tools.map((tool) => (
              <li key={tool.id}>
                <code>{tool.id}</code> {tool.description}
              </li>
            ))}
          </ul>
        </Part>
      )}
      <Part title="What it needs">
        {shown.requirements.length === 0 && <p class="quiet">Nothing beyond this binary.</p>}
        <ul>
          {shown.requirements.map((finding) => (
            <li key={finding.subject}>
              <strong>{finding.met ? "met" : "not met"}</strong> {finding.subject}: {finding.reason}
              {finding.hint && <span class="hint"> {finding.hint}</span>}
            </li>
          ))}
        </ul>
      </Part>
      <Part title="Sessions">
        {Object.keys(shown.streams).length === 0 && <p class="quiet">No stream feeds it.</p>}
        <ul>
          {Object.entries(shown.streams).map(([stream, state]) => (
            <li key={stream}>
              {stream}: {state}
            </li>
          ))}
          {shown.call_sessions.map(({ name, idle_seconds }) => (
            <li key={`call ${name}`}>
              kept for calls: <code>{name}</code>,{" "}
              {idle_seconds === null ? "busy" : `idle for ${span(idle_seconds)}`}
            </li>
          ))}
        </ul>
      </Part>
      <Part title="Numbers">
        <p>
          {count(timings.count)} runs: mean {milliseconds(timings.mean_ms)}, p50{" "}
          {milliseconds(timings.p50_ms)}, p95 {milliseconds(timings.p95_ms)}, p99{" "}
          {milliseconds(timings.p99_ms)}, longest {milliseconds(timings.max_ms)}
        </p>
        {memory.measured && (
          <p>
            {bytes(memory.bytes)} of memory, at most {bytes(memory.peak_bytes)}; not measured:{" "}
            {memory.not_measured.join(", ")}
          </p>
        )}
        {Object.entries(shown.errors).map(([kind, errors]) => (
          <p key={kind}>
            {kind}: {count(errors)}
          </p>
        ))}
      </Part>
      <Part title="Isolation">
        <p>
          By {shown.isolation}; generation {shown.generation}
          {shown.abandoned_workers > 0 && `; ${shown.abandoned_workers} abandoned workers`}. It does
          not contain: {shown.not_contained.join(", ")}.
        </p>
      </Part>
      <Part title="Faults">
        {shown.faults.length === 0 && <p class="quiet">None that is remembered.</p>}
        <ul>
          {shown.faults.map((fault) => (
            <FaultItem key={`${fault.at} ${fault.reason}`} fault={fault} />
          ))}
        </ul>
      </Part>
      <Part title="States">
        <ul>
          {[...shown.transitions].reverse().map((turn) => (
            <TransitionItem key={`${turn.at} ${turn.to}`} turn={turn} />
          ))}
        </ul>
      </Part>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section>
      <h4>{title}</h4>
      {children}
    </section>
  );
}

function FaultItem({ fault }: { fault: Fault }) {
  return (
    <li>
      <time dateTime={fault.at}>{clock(fault.at)}</time> {fault.reason}
      {fault.stream && ` (on ${fault.stream})`} <code>{fault.code}</code>
      {fault.location && <code class="location">{fault.location}</code>}
      {fault.backtrace && (
        <details>
          <summary>Backtrace</summary>
          <pre>{fault.backtrace}</pre>
        </details>
      )}
    </li>
  );
}

function TransitionItem({ turn }: { turn: Transition }) {
  return (
    <li>
      <time dateTime={turn.at}>{clock(turn.at)}</time> {turn.from ?? "–"} → {turn.to}: {turn.reason}
    </li>
  );
}

const EVERY_MS = 5000;
