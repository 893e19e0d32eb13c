import type { Mood } from "../app/mood";
import type { PluginReport, PluginState } from "../server/wire";

/** How much a plugin needs a person's eye. */
export function mood(plugin: PluginReport): Mood {
  switch (plugin.state) {
    case "FAILED":
      return "bad";
    case "UNAVAILABLE":
      return "wary";
    case "LOADED":
      return "idle";
    default:
      return plugin.degraded.length > 0 || plugin.waiting_for.length > 0 ? "wary" : "good";
  }
}

/** Orders plugins by how much they need a person's eye, then by name. */
export function troubleFirst(a: PluginReport, b: PluginReport): number {
  return urgency(a) - urgency(b) || a.name.localeCompare(b.name);
}

/** What a state means, for who has not read the manual. */
export const MEANING: Record<PluginState, string> = {
  LOADED: "being prepared",
  INITIALIZED: "ready",
  RUNNING: "at work",
  FAILED: "failed",
  UNAVAILABLE: "lacks something",
};

function urgency(plugin: PluginReport): number {
  if (plugin.state === "FAILED") return 0;
  if (plugin.state === "UNAVAILABLE") return 1;
  return mood(plugin) === "wary" ? 2 : 3;
}
