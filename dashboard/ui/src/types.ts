// What the server sends (dashboard/overview.py). Sizes are bytes, times milliseconds of the server.

export interface QueueRow {
  user: string;
  queued: number;
  running: number;
}

export interface JobRow {
  prompt_id: string;
  user: string;
  state: string;
  wait_reason: string;
  wait_detail: string;
  worker: string;
  gpu: string;
  since_ms: number;
  seconds: number;
}

/** A job that waits: what is in its way, and when it should start. */
export interface WaitingRow extends JobRow {
  blocker: string;
  /** Seconds from now by which it starts as likely as not, and in 9 of 10 cases; null: not foreseen. */
  start_p50_seconds: number | null;
  start_p90_seconds: number | null;
}

export interface Gpu {
  id: string;
  name: string;
  agent: string;
  index: number;
  state: string;
  memory_source: string;
  silent: boolean;
  total_bytes: number;
  foreign_bytes: number;
  resident_bytes: number;
  reserved_bytes: number;
  free_bytes: number;
}

export interface Worker {
  id: string;
  agent: string;
  gpu: string;
  state: string;
  silent: boolean;
  busy: boolean;
  user: string;
  used_bytes: number;
  reserved_bytes: number;
  models: string[];
}

export interface Ended {
  succeeded: number;
  failed: number;
  cancelled: number;
}

export interface Overview {
  now_ms: number;
  user: string;
  role: string;
  totals: { queued: number; running: number; workers: number; busy: number };
  queue: QueueRow[];
  running: JobRow[];
  running_more: number;
  waiting: WaitingRow[];
  waiting_more: number;
  gpus: Gpu[];
  workers: Worker[];
  ended: { minutes: number; all: Ended; own: Ended };
}

/** One GPU's last minutes, in columns. */
export interface Curve {
  at_ms: number[];
  foreign_bytes: number[];
  resident_bytes: number[];
  reserved_bytes: number[];
  free_bytes: number[];
}

export type Curves = Record<string, Curve>;

export type Message =
  | { type: "snapshot"; overview: Overview; curves: Curves }
  | { type: "update"; overview: Overview }
  | { type: "still" }
  | { type: "unavailable"; message: string };
