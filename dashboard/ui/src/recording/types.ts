// A `.perf.json` as docs/perf-json.md describes it. Absent lists are empty after reading.

export interface About {
  writer: string;
  written_ms: number;
  /** `prompt`, `job` or `span`. */
  scope: string;
  redacted?: boolean;
  own?: boolean;
}

export interface Gpu {
  id: string;
  total_bytes?: number;
}

export interface Worker {
  id: string;
  gpu?: string;
}

export interface Job {
  id: string;
  user?: string;
  state: string;
  reason?: string;
  fingerprint?: string;
  model?: string;
  worker?: string;
  gpu?: string;
  attempts?: number;
  ooms?: number;
  submitted_ms?: number;
  admitted_ms?: number;
  started_ms?: number;
  ended_ms?: number;
  reserved_bytes?: number;
  peak_bytes?: number;
  run_seconds?: number;
}

export interface Run {
  job: string;
  attempt?: number;
  user?: string;
  worker?: string;
  gpu?: string;
  admitted_ms?: number | null;
  claimed_ms?: number | null;
  started_ms?: number | null;
  ended_ms?: number | null;
  seconds?: number | null;
  state?: string;
  reason?: string;
  result?: string;
  reserved_bytes?: number | null;
  peak_reserved?: number | null;
  load_seconds?: number;
}

export type Value = boolean | number | string | Tensor | Tensor[] | null;

export interface Tensor {
  shape: number[];
  dtype?: string;
}

export interface Node {
  job: string;
  attempt?: number;
  node: string;
  class: string;
  started_ms: number;
  seconds: number;
  calls?: number;
  cached?: boolean;
  result?: string;
  error?: string;
  before_bytes?: number | null;
  after_bytes?: number | null;
  peak_bytes?: number | null;
  out_bytes?: number | null;
  fallback?: string;
  marker?: string;
  inputs?: Record<string, Value>;
  outputs?: Record<string, Value>;
}

export interface Move {
  at_ms: number;
  worker?: string;
  job?: string;
  what: string;
  model?: string;
  bytes?: number;
  loaded_bytes?: number;
  seconds?: number;
}

export interface Memory {
  worker: string;
  at_ms: number[];
  allocated: number[];
  reserved: number[];
}

export interface Samples {
  gpu: string;
  step_s: number;
  at_ms: number[];
  foreign_bytes: number[];
  resident_bytes: number[];
  reserved_bytes: number[];
  free_bytes: number[];
  utilisation?: (number | null)[];
}

export interface Queue {
  step_s: number;
  at_ms: number[];
  queued: number[];
  running: number[];
}

export interface Wait {
  reason: string;
  blocker?: string;
  job_ms: number;
}

export interface Usage {
  user: string;
  gpu_us?: number;
  byte_ms?: number;
  energy_mj?: number;
  jobs?: number;
  failed?: number;
  wait_ms?: number;
}

export interface Alert {
  rule: string;
  subject?: string;
  since_ms: number;
  ended_ms?: number | null;
  value?: number;
  worst?: number;
  threshold?: number;
  severity?: string;
}

export interface Advice {
  kind: string;
  title: string;
  remedies?: string[];
  since_ms: number;
  ended_ms?: number | null;
  gain_in?: string;
  /** Seconds a day. */
  gain?: number;
  shown?: number;
  jobs?: string[];
}

export interface Gap {
  subject: string;
  from_ms?: number | null;
  until_ms: number;
  lost?: number;
}

export interface LeftOut {
  part: string;
  count: number;
  why?: string;
}

export interface Perf {
  format: string;
  version: string;
  about: About;
  span: { from_ms: number; until_ms: number };
  gpus: Gpu[];
  workers: Worker[];
  jobs: Job[];
  runs: Run[];
  nodes: Node[];
  moves: Move[];
  memory: Memory[];
  samples: Samples[];
  queue: Queue[];
  waits: Wait[];
  usage: Usage[];
  alerts: Alert[];
  advice: Advice[];
  gaps: Gap[];
  left_out: LeftOut[];
}
