import { useEffect, useState } from "preact/hooks";

import { clock } from "../format/units";
import { useServer } from "../server/useServer";
import type { EventKind, ServerEvent } from "../server/wire";
import { eventLine, matches } from "./eventText";

/** What happened since the page was opened, newest first. */
export function EventsPanel() {
  const server = useServer();
  const [events, setEvents] = useState<readonly ServerEvent[]>([]);
  const [kinds, setKinds] = useState<ReadonlySet<string>>(new Set(Object.keys(KINDS)));
  const [words, setWords] = useState("");
  useEffect(
    () => server.onEvent((event) => setEvents((before) => [event, ...before].slice(0, LENGTH))),
    [server],
  );
  const found = events.filter((event) => matches(event, kinds, words));
  const toggle = (kind: string, on: boolean) => {
    const after = new Set(kinds);
    if (on) after.add(kind);
    else after.delete(kind);
    setKinds(after);
  };

  return (
    <section class="panel" aria-labelledby="events-title">
      <header class="panel-head">
        <h2 id="events-title">Events</h2>
        <fieldset class="toggles">
          <legend class="aside">Show</legend>
          {Object.entries(KINDS).map(([kind, name]) => (
            <label key={kind}>
              <input
                type="checkbox"
                checked={kinds.has(kind)}
                onChange={(event) => toggle(kind, event.currentTarget.checked)}
              />
              {name}
            </label>
          ))}
        </fieldset>
        <input
          type="search"
          placeholder="Find"
          aria-label="Find in the events"
          value={words}
          onInput={(event) => setWords(event.currentTarget.value)}
        />
      </header>
      {found.length === 0 && (
        <p class="quiet">
          {events.length === 0
            ? "Nothing has happened since this page was opened."
            : "Nothing of that sort has happened since this page was opened."}
        </p>
      )}
      <ol class="events">
        {found.map((event) => (
          <EventItem key={event.id} event={event} />
        ))}
      </ol>
    </section>
  );
}

function EventItem({ event }: { event: ServerEvent }) {
  const line = eventLine(event);
  return (
    <li class={`mood-${line.mood}`}>
      <time dateTime={event.time}>{clock(event.time)}</time>
      <strong>{line.subject}</strong> <span>{line.text}</span>
    </li>
  );
}

const KINDS: Record<EventKind, string> = {
  plugin_state: "Plugins",
  fault: "Faults",
  stream_state: "Streams",
  plugin_event: "Tracks",
};

const LENGTH = 500;
