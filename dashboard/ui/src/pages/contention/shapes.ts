// What the API says of contention (`dashboard/api/contention_shapes.py`, `what_ifs_shapes.py`).
export interface BlockedRow {
  user: string;
  reason: string;
  blocker_kind: string;
  blocker: string;
  job_ms: number;
}

export interface Contention {
  from_ms: number;
  until_ms: number;
  blocked: BlockedRow[];
  /** Of everybody together. */
  blocked_ms: number;
  peaks: Peak[];
  least_free: LeastFree[];
  near_misses: NearMiss[];
}

export interface Peak {
  at_ms: number;
  most_queued: number;
  most_running: number;
  longest_wait_ms: number;
}

export interface LeastFree {
  gpu: string;
  at_ms: number;
  free_bytes: number;
  foreign_bytes: number;
  total_bytes: number;
}

export interface NearMiss {
  job: string;
  user: string;
  fingerprint: string;
  title: string;
  gpu: string;
  ended_ms: number;
  reserved_bytes: number;
  peak_bytes: number;
  ooms: number;
}

export interface HourCell {
  /** 0: Monday. */
  weekday: number;
  hour: number;
  queued: number;
  running: number;
  held: number | null;
  utilisation: number | null;
}

export interface Week {
  zone: string;
  hours: HourCell[];
}

export interface Waits {
  jobs: number;
  mean_s: number;
  p50_s: number;
  p95_s: number;
  longest_s: number;
}

export interface Side {
  all: Waits;
  failed: number;
  users: Record<string, Waits>;
  groups: Record<string, Waits>;
  lanes: Record<string, Waits>;
  hours: Record<string, Waits>;
  warm_hit?: number;
  busy_share?: number;
}

export interface PlayedGpu {
  id: string;
  total_bytes: number;
  workers: number;
}

export interface WhatIf {
  id: string;
  asked_ms: number;
  by_user: string;
  from_ms: number;
  until_ms: number;
  change: Change;
  state: "waiting" | "running" | "done" | "failed" | "lost";
  started_ms: number | null;
  ended_ms: number | null;
  problem: string | null;
  result: {
    jobs: number;
    cut: boolean;
    until_ms: number;
    gpus: PlayedGpu[];
    recorded: Side;
    again: Side;
    changed: Side;
  } | null;
}

export interface Limit {
  max_running?: number | null;
  weight?: number;
  vram_share?: number | null;
}

export interface Change {
  more_gpus?: { like: string; count?: number }[];
  vram?: Record<string, number>;
  workers_per_gpu?: number;
  users?: Record<string, Limit>;
  groups?: Record<string, Limit>;
  scheduler?: Record<string, number | boolean>;
}

export interface Choices {
  jobs: number;
  gpus: PlayedGpu[];
  users: string[];
  groups: string[];
  scheduler: Record<string, number | boolean | null>;
}
