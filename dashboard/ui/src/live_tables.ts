// What the server tells a live page (dashboard/live_shapes.py): tables of rows, and what changes.
// Sizes are bytes, times milliseconds of the server.
import { inOrder } from "./order";

export interface Pool {
  queued: number;
  running: number;
  workers: number;
  busy: number;
  ended_minutes: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  own_succeeded: number;
  own_failed: number;
  own_cancelled: number;
  /** Alerts that fire for whoever looks, and the critical ones of them. */
  alerts: number;
  alerts_critical: number;
  /** Nobody looks at the rules of alerts any more. */
  alerts_unwatched: boolean;
  /** Nothing new starts; why, and until when (0: nobody knows). */
  closed: boolean;
  closed_why: string;
  closed_until_ms: number;
}

export interface QueueRow {
  /** The user. */
  id: string;
  queued: number;
  running: number;
}

export interface JobRow {
  id: string;
  prompt_id: string;
  user: string;
  state: string;
  lane: string;
  wait_reason: string;
  wait_detail: string;
  /** Id of the GPU, worker or job in its way. */
  blocker: string;
  worker: string;
  gpu: string;
  since_ms: number;
  /** Server time by which it starts as likely as not, and in 9 of 10 cases; 0: not foreseen. */
  start_p50_ms: number;
  start_p90_ms: number;
  /** Promised while it runs, else what it needs. */
  bytes: number;
  need_seconds: number;
  attempt: number;
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
  /** 0…1 */
  utilisation: number | null;
  temperature: number | null;
  power_mw: number | null;
  clock_mhz: number | null;
  throttled: string[];
  ecc_uncorrected: number | null;
  by_process: boolean;
  trouble: string;
  rival: string;
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
  hold_bytes: number;
  /** `enforced`, `told` or `observed`. */
  limit: string;
  detail: string;
  models: string[];
}

export interface Progress {
  /** The job. */
  id: string;
  node: string;
  class_type: string;
  value: number;
  most: number;
  done: number;
  nodes: number;
  since_ms: number;
}

/** Rows by id, and in the order in which pages show them. */
export interface Tables {
  pool: Pool | null;
  queue: QueueRow[];
  running: JobRow[];
  waiting: JobRow[];
  gpus: Gpu[];
  workers: Worker[];
  progress: Progress[];
}

export const NO_TABLES: Tables = {
  pool: null,
  queue: [],
  running: [],
  waiting: [],
  gpus: [],
  workers: [],
  progress: [],
};

type Fields = Record<string, unknown>;
export type Put = Record<string, Record<string, Fields>>;
export type Gone = Record<string, string[]>;
interface Named {
  id: string;
}

const ORDER: Record<string, (a: never, b: never) => number> = {
  queue: (a: QueueRow, b: QueueRow) => b.queued + b.running - a.queued - a.running || byId(a, b),
  running: (a: JobRow, b: JobRow) => a.since_ms - b.since_ms || byId(a, b),
  waiting: (a: JobRow, b: JobRow) => soonest(a) - soonest(b) || a.since_ms - b.since_ms || byId(a, b),
  gpus: (a: Gpu, b: Gpu) => inOrder(a.agent, b.agent) || a.index - b.index || byId(a, b),
  workers: (a: Worker, b: Worker) => inOrder(a.id, b.id),
  progress: (a: Progress, b: Progress) => byId(a, b),
};

/** The tables after a change. Tables and rows that are as they were are the same objects. */
export function changed(old: Tables, put: Put, gone: Gone): Tables {
  const next: Tables = { ...old };
  const pool = put.pool?.[""];
  if (pool) next.pool = { ...old.pool, ...pool } as unknown as Pool;
  for (const name of Object.keys(ORDER) as Exclude<keyof Tables, "pool">[]) {
    if (put[name] || gone[name]) {
      const order = ORDER[name] as (a: Named, b: Named) => number;
      next[name] = rows(old[name], put[name] ?? {}, gone[name] ?? []).sort(order) as never;
    }
  }
  return next;
}

function rows(old: readonly Named[], put: Record<string, Fields>, gone: string[]): Named[] {
  const kept = new Map(old.map((row) => [row.id, row]));
  for (const id of gone) kept.delete(id);
  for (const [id, fields] of Object.entries(put)) {
    kept.set(id, { ...kept.get(id), ...fields, id });
  }
  return [...kept.values()];
}

// Not foreseen: last. No infinity, which less itself is no number.
function soonest(job: JobRow): number {
  return job.start_p50_ms || Number.MAX_SAFE_INTEGER;
}

function byId(a: Named, b: Named): number {
  return inOrder(a.id, b.id);
}
