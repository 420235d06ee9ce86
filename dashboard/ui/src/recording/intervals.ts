// Things with a begin and an end, in rows without overlaps, found by time without looking at all.

export interface Lane<T> {
  /** Growing, ms. */
  begins: Float64Array;
  ends: Float64Array;
  items: T[];
}

/** Begins are whole milliseconds, ends are not. */
const GRAIN_MS = 1;

/**
 * Lay things into as few rows as they need; what does not fit into `most` rows goes into the last
 * one, where it is cut off by what comes after it.
 */
export function lanes<T>(things: readonly T[], begin: (one: T) => number, end: (one: T) => number, most: number): Lane<T>[] {
  const sorted = [...things].sort((a, b) => begin(a) - begin(b));
  const rows: T[][] = [];
  const free: number[] = [];
  for (const one of sorted) {
    let row = free.findIndex((at) => at - begin(one) < GRAIN_MS);
    if (row < 0) row = Math.min(rows.length, most - 1);
    (rows[row] ??= []).push(one);
    free[row] = Math.max(free[row] ?? 0, end(one));
  }
  return rows.map((row) => ({
    begins: Float64Array.from(row, begin),
    ends: Float64Array.from(row, (one, n) => Math.min(end(one), n + 1 < row.length ? begin(row[n + 1] as T) : Infinity)),
    items: row,
  }));
}

/** How many of a growing column are at or before a moment. */
export function upTo(column: ArrayLike<number>, at: number): number {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((column[middle] ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is there at a moment. */
export function at<T>(lane: Lane<T>, ms: number): T | null {
  const n = upTo(lane.begins, ms) - 1;
  return n >= 0 && ms <= (lane.ends[n] ?? -1) ? (lane.items[n] ?? null) : null;
}

/** The first that has not ended before a moment. */
export function firstAfter<T>(lane: Lane<T>, ms: number): number {
  return Math.max(0, upTo(lane.ends, ms - 1e-9));
}
