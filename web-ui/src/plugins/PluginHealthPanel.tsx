import { useState } from "preact/hooks";

import { Notice } from "../app/Notice";
import { count } from "../format/units";
import type { PluginReport } from "../server/wire";
import { PluginCard } from "./PluginCard";
import { mood } from "./trouble";
import type { PluginHealth } from "./usePluginHealth";

/** Every plugin's health, trouble first. */
export function PluginHealthPanel({ health }: { health: PluginHealth }) {
  const [open, setOpen] = useState<string | null>(null);
  const { plugins, histories, error } = health;

  return (
    <section class="panel" aria-labelledby="plugins-title">
      <header class="panel-head">
        <h2 id="plugins-title">Plugins</h2>
        {plugins && <p class="quiet">{summary(plugins)}</p>}
      </header>
      {plugins === null && error === null && <Notice>Asking how the plugins are …</Notice>}
      {plugins === null && error !== null && (
        <Notice mood="bad">The plugins' health is not known: {error}</Notice>
      )}
      {plugins?.length === 0 && (
        <Notice>
          No plugin is configured. Add a table such as <code>[plugins.tracker]</code> to
          keepsight.toml.
        </Notice>
      )}
      <ul class="cards">
        {plugins?.map((plugin) => (
          <PluginCard
            key={plugin.name}
            plugin={plugin}
            history={histories.get(plugin.name) ?? []}
            open={open === plugin.name}
            onToggle={() => setOpen(open === plugin.name ? null : plugin.name)}
            onReloaded={health.refresh}
          />
        ))}
      </ul>
    </section>
  );
}

function summary(plugins: PluginReport[]): string {
  const troubled = plugins.filter((plugin) => ["bad", "wary"].includes(mood(plugin))).length;
  const all = `${count(plugins.length)} ${plugins.length === 1 ? "plugin" : "plugins"}`;
  return troubled === 0 ? `${all}, all well` : `${all}, ${count(troubled)} to look at`;
}
