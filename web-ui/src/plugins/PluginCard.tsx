import { Badge } from "../app/Badge";
import { Fact } from "../app/Fact";
import { bytes, count, milliseconds, span } from "../format/units";
import type { PluginReport } from "../server/wire";
import { Complaints } from "./Complaints";
import { PluginDetails } from "./PluginDetails";
import { ReloadButton } from "./ReloadButton";
import { RunTimeGraph } from "./RunTimeGraph";
import { MEANING, mood } from "./trouble";

interface Props {
  plugin: PluginReport;
  /** How long its runs took of late, in milliseconds, oldest first. */
  history: readonly number[];
  open: boolean;
  onToggle: () => void;
  onReloaded: () => void;
}

/** One plugin: how it is, what to do about it, and on request all the rest. */
export function PluginCard({ plugin, history, open, onToggle, onReloaded }: Props) {
  const details = `details-${plugin.name}`;
  return (
    <li class={`card mood-${mood(plugin)}`} data-plugin={plugin.name} data-state={plugin.state}>
      <div class="card-head">
        <h3>
          {plugin.name} <small>{plugin.version}</small>
        </h3>
        <Badge mood={mood(plugin)} title={MEANING[plugin.state]}>
          {plugin.state}
        </Badge>
        {plugin.quarantined && <Badge mood="bad">QUARANTINED</Badge>}
        {plugin.critical && <Badge mood="idle">CRITICAL</Badge>}
      </div>
      <p class="quiet">{plugin.description}</p>
      <Complaints plugin={plugin} />
      <dl class="facts">
        <Fact name="Up">{span(plugin.uptime_seconds)}</Fact>
        <Fact name="Runs">{count(plugin.success_count)}</Fact>
        <Fact name="Errors" mood={plugin.error_count > 0 ? "wary" : undefined}>
          {count(plugin.error_count)}
        </Fact>
        <Fact name="Last run">{milliseconds(plugin.last_execution_time_ms)}</Fact>
        <Fact name="Mean of 10">{milliseconds(plugin.avg_execution_time_ms)}</Fact>
        <Fact name="p95">{milliseconds(plugin.timings.p95_ms)}</Fact>
        <Fact name="Memory">{memory(plugin)}</Fact>
        <Fact name="Restarts" mood={plugin.restarts > 0 ? "wary" : undefined}>
          {count(plugin.restarts)}
        </Fact>
        {plugin.next_attempt_in_seconds !== null && (
          <Fact name="Next attempt">in {span(plugin.next_attempt_in_seconds)}</Fact>
        )}
      </dl>
      <RunTimeGraph history={history} />
      <div class="card-actions">
        <button type="button" aria-expanded={open} aria-controls={details} onClick={onToggle}>
          {open ? "Less" : "Details"}
        </button>
        <ReloadButton plugin={plugin.name} onReloaded={onReloaded} />
      </div>
      <div id={details} hidden={!open}>
        {open && <PluginDetails plugin={plugin} />}
      </div>
    </li>
  );
}

function memory({ memory }: PluginReport): string {
  if (!memory.measured) return "not measured";
  return memory.limit_bytes === null
    ? bytes(memory.bytes)
    : `${bytes(memory.bytes)} of ${bytes(memory.limit_bytes)}`;
}
