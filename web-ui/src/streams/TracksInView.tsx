import { percent, span } from "../format/units";
import type { FrameTracks } from "../server/wire";

/** Who is in view on each stream, and since when. */
export function TracksInView({ frames }: { frames: readonly FrameTracks[] }) {
  const rows = frames.flatMap((frame) =>
    frame.tracks
      .filter((track) => track.state !== "lost")
      .map((track) => ({ stream: frame.stream, track })),
  );
  return (
    <div class="in-view">
      <h3>In view</h3>
      {rows.length === 0 ? (
        <p class="quiet">Nobody and nothing.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Track</th>
              <th scope="col">What</th>
              <th scope="col">Sure</th>
              <th scope="col">For</th>
              <th scope="col">Stream</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ stream, track }) => (
              <tr key={`${stream} ${track.track_id}`}>
                <td>#{track.track_id}</td>
                <td>
                  {track.class}
                  {track.state !== "confirmed" && <span class="quiet"> ({track.state})</span>}
                </td>
                <td>{percent(track.confidence)}</td>
                <td>{span(Math.floor(track.since_seconds))}</td>
                <td>{stream}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
