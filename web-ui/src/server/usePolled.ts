import { useEffect, useRef, useState } from "preact/hooks";

import { Refusal } from "./server";
import { useServer } from "./useServer";
import type { ServerEvent } from "./wire";

/** Something asked of the server again and again. */
export interface Polled<T> {
  /** What it said last, kept while it does not answer; `null` before it first did. */
  value: T | null;
  /** Why it last said nothing; `null` when it did. */
  error: string | null;
  /** Asks at once. */
  refresh: () => void;
}

/**
 * Asks for the JSON at `path` every `everyMs`, and soon after an event that `concerns` it.
 *
 * Never asks twice at a time, nor while the page is hidden.
 */
export function usePolled<T>(
  path: string,
  everyMs: number,
  concerns: (event: ServerEvent) => boolean = () => false,
): Polled<T> {
  const server = useServer();
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const refresh = useRef(() => {});
  const concernsNow = useRef(concerns);
  concernsNow.current = concerns;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking = false;
    let again = false;

    const ask = async () => {
      clearTimeout(timer);
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      again = false;
      let wait = everyMs;
      try {
        const found = await server.json<T>(path, abort.signal);
        if (abort.signal.aborted) return;
        setValue(found);
        setError(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError((failure as Error).message);
        const seconds = failure instanceof Refusal ? failure.retryAfterSeconds : null;
        if (seconds !== null) wait = Math.max(wait, seconds * 1000);
      } finally {
        asking = false;
        if (!abort.signal.aborted) {
          timer = setTimeout(tick, again ? SOON_MS : wait);
        }
      }
    };
    const tick = () => {
      if (document.hidden) timer = setTimeout(tick, everyMs);
      else void ask();
    };
    const shown = () => {
      if (!document.hidden) void ask();
    };
    const soon = () => {
      if (asking) again = true;
      else {
        clearTimeout(timer);
        timer = setTimeout(tick, SOON_MS);
      }
    };

    refresh.current = () => void ask();
    void ask();
    document.addEventListener("visibilitychange", shown);
    let before = server.connection.state;
    const unwatch = server.watch(() => {
      // Whatever happened while nothing was told, and what the key now allows, shows at once.
      const { state } = server.connection;
      if (state !== before && (state === "live" || before === "locked")) soon();
      before = state;
    });
    const unlisten = server.onEvent((event) => {
      if (concernsNow.current(event)) soon();
    });
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
      unwatch();
      unlisten();
    };
  }, [server, path, everyMs]);

  return { value, error, refresh: () => refresh.current() };
}

/** Many events at once are one question. */
const SOON_MS = 150;
