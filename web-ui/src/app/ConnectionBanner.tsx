import { clock } from "../format/units";
import type { Connection } from "../server/server";

/** Says so where the page does not show how things are now. */
export function ConnectionBanner({ connection }: { connection: Connection }) {
  return (
    <div role="status" class="banner-place">
      {connection.state === "gone" && (
        <p class="banner mood-bad">
          The server has not answered since {clock(connection.since.toISOString())} (
          {connection.reason}). What you see below is from before; the page goes on by itself once
          it is back.
        </p>
      )}
      {connection.state === "polling" && (
        <p class="banner mood-idle">
          Changes are not told as they happen at the moment; asking every other second.
        </p>
      )}
    </div>
  );
}
