// What the API tells of jobs (dashboard/api/job_shapes.py). Sizes are bytes, times ms since 1970.

export interface JobLine {
  id: string;
  prompt_id: string;
  user: string;
  group: string;
  state: string;
  reason: string;
  lane: string;
  workflow: { fingerprint: string; name: string };
  worker: string;
  gpu: string;
  attempts: number;
  losses: number;
  ooms: number;
  submitted_ms: number;
  started_ms: number;
  ended_ms: number;
  wait_seconds: number | null;
  run_seconds: number;
  need_bytes: number;
  need_seconds: number;
  reserved_bytes: number;
  peak_bytes: number;
}

export interface JobList {
  unfinished: JobLine[];
  jobs: JobLine[];
  next: string | null;
}

export interface StoryStep {
  what: "waiting" | "starting" | "running";
  attempt: number;
  from_ms: number;
  until_ms: number | null;
  state: string;
  reason: string;
  worker: string;
  gpu: string;
  reserved_bytes: number;
}

export interface WaitShare {
  reason: string;
  blocker: string;
  share: number;
}

export interface Output {
  node: string;
  kind: "image" | "video" | "audio" | "other";
  filename: string;
  subfolder: string;
  type: string;
}

export interface NodeBar {
  node: string;
  display: string;
  class_type: string;
  title: string;
  reached: boolean;
  /** `running` is of the page's own making: the live line says which node runs. */
  state: "done" | "cached" | "failed" | "interrupted" | "missing" | "running";
  started_ms: number;
  seconds: number;
  load_seconds: number;
  calls: number;
  error: string;
  before_bytes: number | null;
  after_bytes: number | null;
  peak_bytes: number | null;
  out_bytes: number | null;
  fallback: string;
  usual_seconds: number | null;
  late_seconds: number | null;
  percentile: number | null;
  slow: string[];
}

export interface Move {
  at_ms: number;
  what: string;
  model: string;
  node: string;
  bytes: number;
  loaded_bytes: number;
  seconds: number;
}

export interface Memory {
  at_ms: number[];
  allocated: number[];
  reserved: number[];
  footprint: number[];
  device_free: (number | null)[];
  gaps: [number, number][];
  lost: number;
}

export interface Ran {
  started_ms: number;
  seconds: number;
  result: string;
  nodes: number;
  cached: number;
  peak_allocated: number | null;
  peak_reserved: number | null;
  limit_bytes: number | null;
  loads: number;
  load_seconds: number;
  overlap: boolean;
}

export interface JobDetail {
  job: JobLine;
  load_seconds: number;
  steps: StoryStep[];
  waited: WaitShare[];
  waiting: {
    reason: string;
    detail: string;
    blocker: string;
    start_p50_ms: number;
    start_p90_ms: number;
  } | null;
  attempt: number;
  ran: Ran | null;
  nodes: NodeBar[];
  moves: Move[];
  memory: Memory;
  compared: number;
  outputs: Output[];
  now_ms: number;
}

export interface NodeDetail {
  bar: NodeBar;
  inputs: Record<string, unknown>;
  results: Record<string, unknown>;
  files: Output[];
  /** The probe has taken a small picture of what it gave. */
  picture: boolean;
  past: { job: string; ended_ms: number; seconds: number }[];
  compared: number;
}

export interface ComparedNode {
  class_type: string;
  node_a: string | null;
  node_b: string | null;
  state_a: NodeBar["state"] | null;
  state_b: NodeBar["state"] | null;
  seconds_a: number | null;
  seconds_b: number | null;
  load_a: number;
  load_b: number;
  peak_a: number | null;
  peak_b: number | null;
  fallback_a: string;
  fallback_b: string;
  lost_seconds: number;
  changed: { name: string; a: unknown; b: unknown }[];
}

export interface Comparison {
  a: JobLine;
  b: JobLine;
  parts: { what: string; seconds_a: number; seconds_b: number; lost_seconds: number }[];
  nodes: ComparedNode[];
}
