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

/**
 * Curves with one more point each; what is older than the span is dropped.
 *
 * Columns grow in place: to copy all of them twice a second would be most of a page's work. So
 * they belong to the newest curves alone.
 */
export function extended(curves: Curves, tables: Tables, nowMs: number): Curves {
  const longer: Curves = {};
  for (const gpu of tables.gpus) {
    const old = curves[gpu.id] ?? nothing();
    const holding = tables.workers.filter((one) => one.gpu === gpu.id && one.hold_bytes > 0);
    const point: Curve = {
      at_ms: [nowMs],
      foreign_bytes: [gpu.foreign_bytes],
      resident_bytes: [gpu.resident_bytes],
      reserved_bytes: [gpu.reserved_bytes],
      free_bytes: [gpu.free_bytes],
      holders: holding.map(held),
    };
    longer[gpu.id] = joined(old, point, firstWithin(old.at_ms, nowMs - SPAN_MS));
  }
  return longer;
}

/** Curves with what a page has missed, as the server tells it after a gap; they grow in place, too. */
export function backfilled(curves: Curves, missed: Curves): Curves {
  const filled: Curves = { ...curves };
  for (const [gpu, points] of Object.entries(missed)) {
    filled[gpu] = joined(filled[gpu] ?? nothing(), points, 0);
  }
  return filled;
}

function nothing(): Curve {
  return { at_ms: [], foreign_bytes: [], resident_bytes: [], reserved_bytes: [], free_bytes: [], holders: [] };
}

function held(worker: Worker): Holder {
  return { worker: worker.id, user: worker.busy ? worker.user : "", bytes: [worker.hold_bytes] };
}

/** `old` without its first points, and with `more` behind. */
function joined(old: Curve, more: Curve, from: number): Curve {
  const kept = old.at_ms.length - from;
  const length = kept + more.at_ms.length;
  const known = new Map<string, Holder>();
  for (const one of old.holders) {
    one.bytes.splice(0, from);
    if (one.bytes.some((n) => n > 0)) known.set(key(one), one);
  }
  for (const one of more.holders) {
    const before = known.get(key(one))?.bytes ?? new Array<number>(kept).fill(0);
    append(before, one.bytes);
    known.set(key(one), { ...one, bytes: before });
  }
  const holders = [...known.values()];
  for (const { bytes } of holders) while (bytes.length < length) bytes.push(0);
  const next = { at_ms: moved(old.at_ms, more.at_ms, from), holders } as Curve;
  for (const name of COLUMNS) next[name] = moved(old[name], more[name], from);
  return next;
}

function moved(column: number[], more: readonly number[], from: number): number[] {
  column.splice(0, from);
  append(column, more);
  return column;
}

function append(column: number[], more: readonly number[]): void {
  for (const value of more) column.push(value);
}

// Names have no line breaks in them.
function key({ worker, user }: Holder): string {
  return `${worker}\n${user}`;
}

// The last point before the span stays: it says what held when the span began.
function firstWithin(times: number[], oldest: number): number {
  const index = times.findIndex((time) => time >= oldest);
  return index < 0 ? Math.max(0, times.length - 1) : Math.max(0, index - 1);
}
