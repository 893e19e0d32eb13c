import { useState } from "preact/hooks";

import { Notice } from "../app/Notice";
import { usePolled } from "../server/usePolled";
import type { FrameTracks, ServerEvent, StreamReport } from "../server/wire";
import type { Shown } from "./drawing";
import { ShownToggles } from "./ShownToggles";
import { StreamTile } from "./StreamTile";
import { TracksInView } from "./TracksInView";

/** Every stream side by side, and who is in view on them. */
export function StreamsPanel() {
  const { value: streams, error } = usePolled<StreamReport[]>(
    "/v1/streams",
    EVERY_MS,
    concernsStreams,
  );
  const [shown, setShown] = useState<Shown>({
    boxes: true,
    ids: true,
    classes: true,
    trails: true,
  });
  const [inView, setInView] = useState<ReadonlyMap<string, FrameTracks>>(new Map());
  const seen = (tracks: FrameTracks) =>
    setInView((before) => new Map(before).set(tracks.stream, tracks));
  const unseen = (stream: string) =>
    setInView((before) => {
      const after = new Map(before);
      after.delete(stream);
      return after;
    });

  return (
    <section class="panel" aria-labelledby="streams-title">
      <header class="panel-head">
        <h2 id="streams-title">Streams</h2>
        {streams && streams.length > 0 && <ShownToggles shown={shown} onChange={setShown} />}
      </header>
      {streams === null && error === null && <Notice>Asking for the streams …</Notice>}
      {streams === null && error !== null && (
        <Notice mood="bad">The streams are not known: {error}</Notice>
      )}
      {streams?.length === 0 && (
        <Notice>
          No stream is configured. Add a table such as <code>[streams.door]</code> to keepsight.toml;{" "}
          <code>keepsight cameras</code> lists what can be its source.
        </Notice>
      )}
      {streams && streams.length > 0 && (
        <div class="watch">
          <div class="tiles">
            {streams.map((stream) => (
              <StreamTile
                key={stream.name}
                stream={stream}
                shown={shown}
                onTracks={seen}
                onNotLive={() => unseen(stream.name)}
              />
            ))}
          </div>
          <TracksInView frames={[...inView.values()]} />
        </div>
      )}
    </section>
  );
}

function concernsStreams(event: ServerEvent): boolean {
  return event.kind === "stream_state" || event.kind === "plugin_state";
}

const EVERY_MS = 2000;
