import { useEffect, useRef } from "preact/hooks";

import { Badge } from "../app/Badge";
import { Fact } from "../app/Fact";
import type { Mood } from "../app/mood";
import { clock, count, milliseconds, rate, secondsSince, span } from "../format/units";
import { useServer } from "../server/useServer";
import type { FrameTracks, StreamReport, StreamState } from "../server/wire";
import type { Shown } from "./drawing";
import { LivePicture } from "./LivePicture";

interface Props {
  stream: StreamReport;
  shown: Shown;
  onTracks: (tracks: FrameTracks) => void;
  onNotLive: () => void;
}

/** One stream: its picture while it is live, and else since when it isn't and what to do. */
export function StreamTile({ stream, shown, onTracks, onNotLive }: Props) {
  const tile = useRef<HTMLElement>(null);
  const live = stream.state === "live";
  useEffect(() => {
    if (!live) onNotLive();
  }, [live]);
  const title = `stream-${stream.name}`;

  return (
    <article
      ref={tile}
      class="tile"
      aria-labelledby={title}
      data-stream={stream.name}
      data-state={stream.state}
    >
      <header class="card-head">
        <h3 id={title}>{stream.name}</h3>
        <Badge mood={MOODS[stream.state]}>{stream.state}</Badge>
        {stream.critical && <Badge mood="idle">CRITICAL</Badge>}
        <button type="button" class="aside" onClick={() => void fullScreen(tile.current)}>
          Full screen
        </button>
      </header>
      {live ? (
        <LivePicture stream={stream.name} shown={shown} onTracks={onTracks} />
      ) : (
        <Absence stream={stream} />
      )}
      {live && stream.reason !== null && (
        <div class="complaint">
          <p>{stream.reason}</p>
          {stream.hint && <p class="hint">{stream.hint}</p>}
        </div>
      )}
      <dl class="facts">
        <Fact name="Rate">{rate(stream.rate)}</Fact>
        <Fact name="Newest frame">{age(stream)}</Fact>
        <Fact name="Frames">{count(stream.frames_in)}</Fact>
        <Fact name="Dropped">{count(stream.frames_dropped)}</Fact>
        <Fact name="Reconnects">{count(stream.reconnects)}</Fact>
        {stream.size && (
          <Fact name="Picture">
            {stream.size.width} × {stream.size.height} {stream.format}
          </Fact>
        )}
        {stream.plugins.map((fed) => (
          <Fact key={fed.plugin} name={fed.plugin}>
            {fed.state}
            {fed.last_latency_ms !== null && `, ${milliseconds(fed.last_latency_ms)} behind`}
          </Fact>
        ))}
      </dl>
      {live && stream.last_error !== null && stream.last_error !== stream.reason && (
        <p class="quiet">
          Last trouble, at {clock(stream.last_error_at ?? stream.since)}: {stream.last_error}
        </p>
      )}
      <p class="quiet source" title={stream.device ?? undefined}>
        {stream.source}
        {stream.device && ` – ${stream.device}`}
      </p>
    </article>
  );
}

function Absence({ stream }: { stream: StreamReport }) {
  const server = useServer();
  return (
    <div class="picture">
      <div class="no-picture" role="status">
        <p>
          <strong>{WORDS[stream.state]}</strong> since {clock(stream.since)} (
          {span(secondsSince(stream.since, server.now()))})
        </p>
        {stream.reason && <p>{stream.reason}</p>}
        {stream.hint && <p class="hint">{stream.hint}</p>}
        {stream.code && <code>{stream.code}</code>}
      </div>
    </div>
  );
}

function age(stream: StreamReport): string {
  const seconds = stream.last_frame_age_seconds;
  if (seconds === null) return "none yet";
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

async function fullScreen(tile: HTMLElement | null): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await tile?.requestFullscreen().catch(() => {});
}

const MOODS: Record<StreamState, Mood> = {
  opening: "idle",
  live: "good",
  stalled: "wary",
  reconnecting: "bad",
  ended: "idle",
  failed: "bad",
};

const WORDS: Record<StreamState, string> = {
  opening: "Opening",
  live: "Live",
  stalled: "No frames come",
  reconnecting: "Gone, and tried again",
  ended: "Ended",
  failed: "Failed",
};
