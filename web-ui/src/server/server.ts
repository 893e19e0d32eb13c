import type { EventKind, FrameTracks, ServerEvent } from "./wire";

/** How the page stands with its server. */
export type Connection =
  | { state: "connecting" }
  /** Changes arrive as they happen. */
  | { state: "live" }
  /** The server answers, but tells no changes by itself: it is asked now and then. */
  | { state: "polling" }
  /** It does not answer. */
  | { state: "gone"; since: Date; reason: string }
  /** It wants a key. */
  | { state: "locked" };

/** An answer that is no success. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    detail: string,
    /** Seconds after which to ask again, where the server knows. */
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(detail);
  }
}

/** What the page needs of a browser; tests give their own. */
export interface Browser {
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** `null` where there are no server-sent events. */
  events(path: string): EventSource | null;
}

/**
 * The server that the page came from.
 *
 * One connection for events serves the whole page, and opens and reopens by itself. Every answer
 * and every failure to get one tells how the page stands with the server.
 */
export class Server {
  connection: Connection = { state: "connecting" };
  private readonly watchers = new Set<() => void>();
  private readonly eventListeners = new Set<(event: ServerEvent) => void>();
  private readonly trackListeners = new Set<(tracks: FrameTracks) => void>();
  private source: EventSource | null = null;
  private reopen: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  /** By how much the server's clock is ahead of this machine's, to a second. */
  private aheadMs = 0;

  constructor(private readonly browser: Browser = realBrowser) {}

  /** Begins to follow what happens. */
  open(): void {
    this.closed = false;
    this.follow();
  }

  /** Stops; nothing is told after it. */
  close(): void {
    this.closed = true;
    clearTimeout(this.reopen);
    this.source?.close();
    this.source = null;
  }

  /** Calls `changed` whenever {@link connection} does, until the function given back is called. */
  watch(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => this.watchers.delete(changed);
  }

  /** Calls `listener` with each event, until the function given back is called. */
  onEvent(listener: (event: ServerEvent) => void): () => void {
    this.eventListeners.add(listener);
    return () => this.eventListeners.delete(listener);
  }

  /** Calls `listener` with the tracks of each frame, until the function given back is called. */
  onTracks(listener: (tracks: FrameTracks) => void): () => void {
    this.trackListeners.add(listener);
    return () => this.trackListeners.delete(listener);
  }

  /** The JSON at `path`. Rejects with a {@link Refusal}, or with what the network said. */
  async json<T>(path: string, signal?: AbortSignal): Promise<T> {
    const init: RequestInit = { headers: { accept: "application/json" } };
    if (signal) init.signal = signal;
    const answer = await this.request(path, init);
    return (await answer.json()) as T;
  }

  /** Asks the server to do something. Rejects as {@link json} does. */
  async post(path: string, body?: unknown): Promise<void> {
    const init: RequestInit = { method: "POST" };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "content-type": "application/json" };
    }
    await this.request(path, init);
  }

  /** What the server's clock shows: ages of its time stamps are right on any machine. */
  now(): Date {
    return new Date(Date.now() + this.aheadMs);
  }

  /** Exchanges the key for a cookie, and goes on. */
  async signIn(key: string): Promise<void> {
    await this.post("/v1/session", { key });
    this.become({ state: "connecting" });
    this.follow();
  }

  /** A request whose answer, or the lack of one, tells how the page stands with the server. */
  async request(path: string, init?: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await this.browser.fetch(path, init);
    } catch (error) {
      if (!init?.signal?.aborted) this.lost(String((error as Error).message || error));
      throw error;
    }
    const date = Date.parse(answer.headers.get("date") ?? "");
    // The header has whole seconds, so a smaller difference is none.
    if (!Number.isNaN(date)) {
      const ahead = date - Date.now();
      this.aheadMs = Math.abs(ahead) > 2000 ? ahead : 0;
    }
    if (answer.ok) {
      this.answered();
      return answer;
    }
    const refusal = await refusalOf(answer);
    if (refusal.status === 401 && path !== "/v1/session") this.lock();
    else this.answered();
    throw refusal;
  }

  private answered(): void {
    if (this.closed) return;
    const { state } = this.connection;
    if (state === "gone") {
      // Until the events say otherwise.
      this.become({ state: "polling" });
      this.follow();
    } else if (state === "connecting" && this.source === null) {
      this.become({ state: "polling" });
    }
  }

  private lost(reason: string): void {
    if (this.closed || this.connection.state === "gone") return;
    this.become({ state: "gone", since: new Date(), reason });
  }

  private lock(): void {
    this.source?.close();
    this.source = null;
    clearTimeout(this.reopen);
    this.become({ state: "locked" });
  }

  private follow(): void {
    clearTimeout(this.reopen);
    this.source?.close();
    const source = this.browser.events("/v1/events");
    this.source = source;
    if (!source) {
      if (this.connection.state === "connecting") this.become({ state: "polling" });
      return;
    }
    source.onopen = () => this.become({ state: "live" });
    source.onerror = () => {
      if (this.connection.state === "live") this.become({ state: "polling" });
      // A browser tries again by itself after a broken connection, not after a refusal.
      if (source.readyState === CLOSED && this.source === source && !this.closed) {
        this.source = null;
        if (this.connection.state !== "locked") {
          this.reopen = setTimeout(() => this.follow(), REOPEN_MS);
        }
      }
    };
    for (const kind of EVENT_KINDS) {
      source.addEventListener(kind, (message) => this.tell(kind, message as MessageEvent<string>));
    }
    source.addEventListener("tracks", (message) => {
      const tracks = parsed<FrameTracks>((message as MessageEvent<string>).data);
      if (tracks) this.trackListeners.forEach((listener) => listener(tracks));
    });
  }

  private tell(kind: EventKind, message: MessageEvent<string>): void {
    const body = parsed<Record<string, unknown>>(message.data);
    if (!body) return;
    const { time, plugin, stream, ...data } = body;
    const event: ServerEvent = {
      kind,
      id: message.lastEventId,
      time: String(time),
      plugin: (plugin as string | null) ?? null,
      stream: (stream as string | null) ?? null,
      data,
    };
    this.eventListeners.forEach((listener) => listener(event));
  }

  private become(connection: Connection): void {
    if (this.closed) return;
    this.connection = connection;
    this.watchers.forEach((changed) => changed());
  }
}

async function refusalOf(answer: Response): Promise<Refusal> {
  const body = parsed<{ detail?: unknown }>(await answer.text().catch(() => ""));
  const detail =
    typeof body?.detail === "string" ? body.detail : `the server answered ${answer.status}`;
  const after = Number(answer.headers.get("retry-after") ?? Number.NaN);
  return new Refusal(answer.status, detail, Number.isFinite(after) ? after : null);
}

function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}

const realBrowser: Browser = {
  fetch: (path, init) => fetch(path, init),
  events: (path) => (typeof EventSource === "undefined" ? null : new EventSource(path)),
};

const EVENT_KINDS: readonly EventKind[] = ["plugin_state", "fault", "stream_state", "plugin_event"];

/** `EventSource.CLOSED`, which an environment without server-sent events lacks. */
const CLOSED = 2;

/** As long as the server asks its followers to wait. */
const REOPEN_MS = 2000;
