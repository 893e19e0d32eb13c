import type { Mood } from "../app/mood";
import type { ServerEvent } from "../server/wire";

/** An event as a line of the log. */
export interface EventLine {
  /** What it is about, such as a plugin on a stream. */
  subject: string;
  text: string;
  mood: Mood;
}

export function eventLine(event: ServerEvent): EventLine {
  const { data } = event;
  const subject = [event.plugin, event.stream].filter(Boolean).join(" on ");
  switch (event.kind) {
    case "plugin_state":
    case "stream_state": {
      const state = text(data.state);
      const reason = text(data.reason);
      return { subject, text: reason ? `${state}: ${reason}` : state, mood: moodOf(state) };
    }
    case "fault":
      return { subject, text: `${text(data.code)}: ${text(data.reason)}`, mood: "bad" };
    case "plugin_event":
      return { subject, text: pluginEvent(text(data.kind), data.data), mood: "idle" };
  }
}

/** Whether the log shows the event where a person looks for `words`. */
export function matches(event: ServerEvent, kinds: ReadonlySet<string>, words: string): boolean {
  if (!kinds.has(event.kind)) return false;
  const line = eventLine(event);
  const all = `${line.subject} ${line.text}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

function pluginEvent(kind: string, data: unknown): string {
  const fields = data !== null && typeof data === "object" ? (data as Record<string, unknown>) : {};
  switch (kind) {
    case "track_started":
      return `track #${text(fields.track_id)} began`;
    case "track_ended":
      return `track #${text(fields.track_id)} ended`;
    default:
      return `${kind.replaceAll("_", " ")} ${data === undefined ? "" : JSON.stringify(data)}`;
  }
}

function moodOf(state: string): Mood {
  if (["FAILED", "failed", "reconnecting"].includes(state)) return "bad";
  if (["UNAVAILABLE", "stalled"].includes(state)) return "wary";
  if (["RUNNING", "INITIALIZED", "live"].includes(state)) return "good";
  return "idle";
}

function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}
