import type { Tables, Worker } from "./live_tables";

/** How far back live curves go. */
export const SPAN_MS = 10 * 60 * 1000;

/** What one worker held for one user (empty: nobody, it was idle). */
export interface Holder {
  worker: string;
  user: string;
  bytes: number[];
}

/** One GPU's last minutes, in columns. */
export interface Curve {
  at_ms: number[];
  foreign_bytes: number[];
  resident_bytes: number[];
  reserved_bytes: number[];
  free_bytes: number[];
  holders: Holder[];
}

export type Curves = Record<string, Curve>;

const COLUMNS = ["foreign_bytes", "resident_bytes", "reserved_bytes", "free_bytes"] as const;

export const NO_CURVE: Curve = {
  at_ms: [],
  foreign_bytes: [],
  resident_bytes: [],
  reserved_bytes: [],
  free_bytes: [],
  holders: [],
};

/** Curves with one more point each; what is older than the span is dropped. */
export function extended(curves: Curves, tables: Tables, nowMs: number): Curves {
  const longer: Curves = {};
  for (const gpu of tables.gpus) {
    const old = curves[gpu.id] ?? NO_CURVE;
    const from = firstWithin(old.at_ms, nowMs - SPAN_MS);
    const holding = tables.workers.filter((one) => one.gpu === gpu.id && one.hold_bytes > 0);
    const point: Curve = {
      at_ms: [nowMs],
      foreign_bytes: [gpu.foreign_bytes],
      resident_bytes: [gpu.resident_bytes],
      reserved_bytes: [gpu.reserved_bytes],
      free_bytes: [gpu.free_bytes],
      holders: holding.map(held),
    };
    longer[gpu.id] = joined(old, point, from);
  }
  return longer;
}

/** Curves with what a page has missed, as the server tells it after a gap. */
export function backfilled(curves: Curves, missed: Curves): Curves {
  const filled: Curves = { ...curves };
  for (const [gpu, points] of Object.entries(missed)) {
    filled[gpu] = joined(filled[gpu] ?? NO_CURVE, points, 0);
  }
  return filled;
}

function held(worker: Worker): Holder {
  return { worker: worker.id, user: worker.busy ? worker.user : "", bytes: [worker.hold_bytes] };
}

function joined(old: Curve, more: Curve, from: number): Curve {
  const kept = old.at_ms.length - from;
  const next = { at_ms: [...old.at_ms.slice(from), ...more.at_ms] } as Curve;
  for (const name of COLUMNS) next[name] = [...old[name].slice(from), ...more[name]];
  const known = new Map<string, Holder>();
  for (const one of old.holders) {
    const bytes = one.bytes.slice(from);
    if (bytes.some((n) => n > 0)) known.set(key(one), { ...one, bytes });
  }
  for (const one of more.holders) {
    const before = known.get(key(one))?.bytes ?? new Array<number>(kept).fill(0);
    known.set(key(one), { ...one, bytes: [...before, ...one.bytes] });
  }
  const length = kept + more.at_ms.length;
  next.holders = [...known.values()].map((one) =>
    one.bytes.length === length
      ? one
      : { ...one, bytes: [...one.bytes, ...new Array<number>(length - one.bytes.length).fill(0)] },
  );
  return next;
}

function key(one: Holder): string {
  return JSON.stringify([one.worker, one.user]);
}

// The last point before the span stays: it says what held when the span began.
function firstWithin(times: number[], oldest: number): number {
  const index = times.findIndex((time) => time >= oldest);
  return index < 0 ? Math.max(0, times.length - 1) : Math.max(0, index - 1);
}
