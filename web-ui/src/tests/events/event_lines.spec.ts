import { expect, test } from "vitest";

import { eventLine, matches } from "../../events/eventText";
import type { EventKind, ServerEvent } from "../../server/wire";

function event(kind: EventKind, data: Record<string, unknown>): ServerEvent {
  return { kind, id: "1", time: "2026-01-02T03:04:05Z", plugin: "tracker", stream: "door", data };
}

test("events read as sentences", () => {
  const cases: [ServerEvent, string, string][] = [
    [event("plugin_state", { state: "FAILED", reason: "panicked" }), "FAILED: panicked", "bad"],
    [event("stream_state", { state: "live", reason: null }), "live", "good"],
    [event("fault", { code: "run.timed_out", reason: "late" }), "run.timed_out: late", "bad"],
    [event("plugin_event", { kind: "track_started", data: { track_id: 9 } }), "track #9 began", "idle"],
    [event("plugin_event", { kind: "track_ended", data: { track_id: 9 } }), "track #9 ended", "idle"],
    [event("plugin_event", { kind: "line_crossed", data: { side: 1 } }), 'line crossed {"side":1}', "idle"],
  ];
  for (const [found, text, mood] of cases) {
    expect(eventLine(found)).toEqual({ subject: "tracker on door", text, mood });
  }
});

test("the log is searched by all words in any case", () => {
  const found = event("fault", { code: "run.panicked", reason: "Index out of bounds" });
  const all = new Set(["fault"]);
  expect(matches(found, all, "")).toBe(true);
  expect(matches(found, all, "INDEX door")).toBe(true);
  expect(matches(found, all, "index yard")).toBe(false);
  expect(matches(found, new Set(), "")).toBe(false);
});
