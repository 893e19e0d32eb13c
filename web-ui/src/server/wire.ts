// What the server says: the part of its HTTP contract that the page reads.

export type PluginState = "LOADED" | "INITIALIZED" | "RUNNING" | "FAILED" | "UNAVAILABLE";

/** What is the matter, and what a person can do about it. */
export interface Complaint {
  code: string;
  reason: string;
  hint: string;
}

/** One of `GET /v1/inspector/plugins`. Times are milliseconds unless they say seconds. */
export interface PluginReport {
  name: string;
  state: PluginState;
  description: string;
  version: string;
  reason: string | null;
  uptime_seconds: number | null;
  last_used: string | null;
  success_count: number;
  error_count: number;
  last_execution_time_ms: number | null;
  avg_execution_time_ms: number | null;
  code: string | null;
  hint: string | null;
  since: string;
  degraded: Complaint[];
  waiting_for: string[];
  streams: Record<string, string>;
  restarts: number;
  next_attempt_in_seconds: number | null;
  quarantined: boolean;
  generation: number;
  isolation: string;
  not_contained: string[];
  plugin: string;
  critical: boolean;
  manifest: Manifest | null;
  requirements: Finding[];
  timings: Timings;
  errors: Record<string, number>;
  abandoned_workers: number;
  memory: PluginMemory;
  call_sessions: CallSession[];
  last_crash: LastCrash | null;
  transitions: Transition[];
  faults: Fault[];
}

export interface Manifest {
  id: string;
  name: string;
  version: string;
  description: string;
  type: string;
  capabilities: string[];
  tools: Tool[];
}

export interface Tool {
  id: string;
  title: string;
  description: string;
}

/** A session that calls keep by name. */
export interface CallSession {
  name: string;
  /** `null` while a call runs in it. */
  idle_seconds: number | null;
}

/** A requirement that was checked. */
export interface Finding {
  code: string;
  subject: string;
  reason: string;
  hint: string | null;
  met: boolean;
}

export interface Timings {
  count: number;
  mean_ms: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  max_ms: number | null;
}

export interface PluginMemory {
  measured: boolean;
  bytes: number | null;
  peak_bytes: number | null;
  limit_bytes: number | null;
  not_measured: string[];
}

/** The process before this one ended while the plugin ran. */
export interface LastCrash {
  phase: string;
  stream: string | null;
  generation: number;
  in_a_row: number;
}

export interface Transition {
  at: string;
  from: PluginState | null;
  to: PluginState;
  code: string;
  reason: string;
  hint: string | null;
  generation: number;
}

export interface Fault {
  at: string;
  code: string;
  reason: string;
  hint: string;
  stream: string | null;
  location: string | null;
  backtrace?: string | null;
  has_backtrace: boolean;
}

export type StreamState = "opening" | "live" | "stalled" | "reconnecting" | "ended" | "failed";

/** Width and height in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** One of `GET /v1/streams`. Rates are frames a second. */
export interface StreamReport {
  name: string;
  source: string;
  state: StreamState;
  code: string | null;
  reason: string | null;
  hint: string | null;
  since: string;
  device: string | null;
  format: string | null;
  size: Size | null;
  rate: number | null;
  nominal_rate: number | null;
  mode: string;
  frames_in: number;
  frames_dropped: number;
  last_frame_age_seconds: number | null;
  reconnects: number;
  /** What was last the matter, also when it is over. */
  last_error: string | null;
  last_error_at: string | null;
  critical: boolean;
  plugins: StreamPlugin[];
}

export interface StreamPlugin {
  plugin: string;
  state: string;
  processed: number;
  dropped: number;
  errors: number;
  last_latency_ms: number | null;
}

/** A track: its box in pixels of the frame, origin top left. */
export interface Track {
  track_id: number;
  x: number;
  y: number;
  width: number;
  height: number;
  confidence: number;
  class: string;
  class_id: number;
  state: "tentative" | "confirmed" | "coasting" | "lost";
  since_seconds: number;
}

/** The tracks of one frame, as the server-sent event `tracks` has them. */
export interface FrameTracks {
  stream: string;
  plugin: string;
  sequence: number;
  latency_ms: number;
  size: Size;
  tracks: Track[];
}

/** What `GET /v1/inspector/host` says of the machine. */
export interface HostReport {
  version: string;
  uptime_seconds: number;
  clock_synchronized: boolean | null;
  temperatures: { name: string; celsius: number }[];
  throttling: boolean | null;
  disk: { path: string; total_bytes: number; available_bytes: number } | null;
  memory: {
    resident_bytes: number | null;
    total_bytes: number | null;
    available_bytes: number | null;
  };
  threads: number | null;
  abandoned_workers: number;
  gpu: { status: string; reason: string | null };
}

export type EventKind = "plugin_state" | "fault" | "stream_state" | "plugin_event";

/** Something that happened, as `GET /v1/events` tells it. */
export interface ServerEvent {
  kind: EventKind;
  id: string;
  time: string;
  plugin: string | null;
  stream: string | null;
  data: Record<string, unknown>;
}
