import { type ComponentChild, h, render } from "preact";
import { act } from "preact/test-utils";

import { type Browser, Server } from "../server/server";
import { ServerContext } from "../server/useServer";
import type { PluginReport } from "../server/wire";

/** An answer of the server: a status and a body, or a failure of the network. */
export type Answer = { status?: number; body?: unknown; headers?: Record<string, string> } | Error;

/** A browser whose network is what a test says. */
export class ScriptedBrowser implements Browser {
  readonly asked: string[] = [];
  readonly sources: ScriptedEvents[] = [];
  private readonly answers = new Map<string, () => Answer>();

  constructor(private readonly hasEvents = true) {}

  /** From now on `path` answers so; the method is part of it where it is not GET. */
  answer(path: string, answer: () => Answer): void {
    this.answers.set(path, answer);
  }

  async fetch(path: string, init?: RequestInit): Promise<Response> {
    const asked = init?.method ? `${init.method} ${path}` : path;
    this.asked.push(asked);
    const answer = this.answers.get(asked)?.() ?? { status: 404, body: { detail: "Not Found" } };
    if (answer instanceof Error) throw answer;
    const { status = 200, body = null, headers = {} } = answer;
    const bare = status === 204;
    return new Response(bare ? null : JSON.stringify(body), { status, headers });
  }

  events(): EventSource | null {
    if (!this.hasEvents) return null;
    const source = new ScriptedEvents();
    this.sources.push(source);
    return source as unknown as EventSource;
  }

  /** The connection for events that was opened last. */
  get source(): ScriptedEvents {
    const source = this.sources.at(-1);
    if (!source) throw new Error("no connection for events was opened");
    return source;
  }
}

/** Server-sent events as a test sends them. */
export class ScriptedEvents extends EventTarget {
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;

  opened(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** The connection broke; `forGood` where the browser won't try again. */
  broke(forGood: boolean): void {
    this.readyState = forGood ? 2 : 0;
    this.onerror?.();
  }

  send(kind: string, data: unknown, lastEventId = "1"): void {
    this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data), lastEventId }));
  }

  close(): void {
    this.readyState = 2;
  }
}

/** Shows `child` on a page of its own, with the server of `browser`. */
export async function show(child: ComponentChild, browser: ScriptedBrowser): Promise<HTMLElement> {
  const root = document.createElement("div");
  document.body.append(root);
  const server = new Server(browser);
  server.open();
  await act(() => render(h(ServerContext.Provider, { value: server }, child), root));
  await settled();
  return root;
}

/** Lets what was asked be answered and shown. */
export async function settled(): Promise<void> {
  await act(async () => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  });
}

/** What a person reads, with its white space as one. */
export function text(element: Element | null): string {
  return element?.textContent?.replace(/\s+/g, " ").trim() ?? "";
}

/** A healthy plugin, but for what `but` says. */
export function plugin(but: Partial<PluginReport> = {}): PluginReport {
  return {
    name: "tracker",
    state: "RUNNING",
    description: "finds and follows",
    version: "0.1.0",
    reason: null,
    uptime_seconds: 3725,
    last_used: "2026-01-02T03:04:05Z",
    success_count: 1234,
    error_count: 0,
    last_execution_time_ms: 31.4,
    avg_execution_time_ms: 30.2,
    code: null,
    hint: null,
    since: "2026-01-02T02:00:00Z",
    degraded: [],
    waiting_for: [],
    streams: { door: "running" },
    restarts: 0,
    next_attempt_in_seconds: null,
    quarantined: false,
    generation: 1,
    isolation: "thread",
    not_contained: ["stack overflow", "abort"],
    plugin: "video-tracker",
    critical: false,
    manifest: {
      id: "video-tracker",
      name: "Video tracker",
      version: "0.1.0",
      description: "finds and follows",
      type: "vision",
      capabilities: ["tracking"],
      tools: [{ id: "track", title: "Track", description: "follows objects" }],
    },
    requirements: [],
    timings: { count: 1234, mean_ms: 30, p50_ms: 29, p95_ms: 41.5, p99_ms: 60, max_ms: 80 },
    errors: {},
    abandoned_workers: 0,
    call_sessions: [],
    memory: {
      measured: true,
      bytes: 39 << 20,
      peak_bytes: 40 << 20,
      limit_bytes: null,
      not_measured: ["GPU memory"],
    },
    last_crash: null,
    transitions: [],
    faults: [],
    ...but,
  };
}
