import { useEffect, useRef, useState } from "preact/hooks";

import { usePolled } from "../server/usePolled";
import type { PluginReport, ServerEvent } from "../server/wire";
import { troubleFirst } from "./trouble";

/** What the panel shows of the plugins, kept while the server does not answer. */
export interface PluginHealth {
  /** Every plugin, trouble first; `null` before the first answer. */
  plugins: PluginReport[] | null;
  /** Of each plugin, how long its runs took of late, in milliseconds, oldest first. */
  histories: ReadonlyMap<string, readonly number[]>;
  /** Why the server last said nothing; `null` when it did. */
  error: string | null;
  /** Asks at once. */
  refresh: () => void;
}

/** Follows the health of every plugin: changes as they happen, counters every other second. */
export function usePluginHealth(): PluginHealth {
  const { value, error, refresh } = usePolled<PluginReport[]>(
    "/v1/inspector/plugins",
    EVERY_MS,
    concernsPlugins,
  );
  const histories = useRef(new Map<string, number[]>());
  const [plugins, setPlugins] = useState<PluginReport[] | null>(null);

  useEffect(() => {
    if (!value) return;
    remember(histories.current, value);
    setPlugins([...value].sort(troubleFirst));
  }, [value]);

  return { plugins, histories: histories.current, error, refresh };
}

/** Adds each plugin's latest mean to its history, and forgets plugins that are no more. */
export function remember(histories: Map<string, number[]>, plugins: PluginReport[]): void {
  for (const name of histories.keys()) {
    if (!plugins.some((plugin) => plugin.name === name)) histories.delete(name);
  }
  for (const plugin of plugins) {
    const history = histories.get(plugin.name) ?? [];
    histories.set(plugin.name, history);
    if (plugin.avg_execution_time_ms !== null) history.push(plugin.avg_execution_time_ms);
    if (history.length > HISTORY_LENGTH) history.shift();
  }
}

function concernsPlugins(event: ServerEvent): boolean {
  return event.kind === "plugin_state" || event.kind === "fault";
}

const EVERY_MS = 2000;

/** Five minutes. */
export const HISTORY_LENGTH = 150;
