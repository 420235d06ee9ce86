// A recording, made ready for being drawn and asked what was at a moment.
import { type Lane, lanes, upTo } from "./intervals";
import type { Gap, Job, Memory, Move, Node, Perf, Run, Samples } from "./types";

/** Rows of nodes of one worker; more run at once only in graphs with asynchronous nodes. */
const MOST_NODE_ROWS = 3;
/** Without a probe's word for longer than this, ms, a worker's memory is not known. */
const SILENCE_MS = 5000;

export interface Curve {
  at: Float64Array;
  /** Each until the next one, or for so long, ms; then there is a gap. */
  holds: Float64Array;
  columns: Record<string, Float64Array>;
}

export interface WorkerTrack {
  id: string;
  runs: Lane<Run>[];
  nodes: Lane<Node>[];
  moves: Lane<Move>[];
  memory: Curve | null;
}

export interface GpuTrack {
  id: string;
  totalBytes: number;
  curve: Curve | null;
  gaps: readonly Gap[];
  workers: WorkerTrack[];
}

export interface Model {
  perf: Perf;
  fromMs: number;
  untilMs: number;
  queue: Curve | null;
  /** Those of no GPU are below one without an id. */
  gpus: GpuTrack[];
  jobs: ReadonlyMap<string, Job>;
}

/** Make one; takes some milliseconds for each ten thousand nodes. */
export function model(perf: Perf): Model {
  const workerOf = new Map(perf.runs.map((run) => [key(run.job, run.attempt), run.worker ?? ""]));
  const runs = grouped(perf.runs, (run) => run.worker ?? "");
  const nodes = grouped(perf.nodes, (node) => workerOf.get(key(node.job, node.attempt)) ?? "");
  const moves = grouped(perf.moves, (move) => move.worker ?? "");
  const memory = grouped(perf.memory, (piece) => piece.worker);
  const samples = grouped(perf.samples, (piece) => piece.gpu);
  const known = new Map(perf.workers.map((worker) => [worker.id, worker.gpu ?? ""]));
  for (const run of perf.runs) if (run.worker && !known.has(run.worker)) known.set(run.worker, run.gpu ?? "");

  const tracks = [...known].map(([id, gpu]) => ({
    gpu,
    track: {
      id,
      runs: lanes(runs.get(id) ?? [], runBegin, runEnd, 2),
      nodes: lanes(nodes.get(id) ?? [], (one) => one.started_ms, nodeEnd, MOST_NODE_ROWS),
      moves: lanes(moves.get(id) ?? [], (one) => one.at_ms - (one.seconds ?? 0) * 1000, (one) => one.at_ms, 1),
      memory: memoryCurve(memory.get(id) ?? []),
    },
  }));
  const ids = new Set([...perf.gpus.map((gpu) => gpu.id), ...samples.keys(), ...tracks.map((one) => one.gpu)]);
  const total = new Map(perf.gpus.map((gpu) => [gpu.id, gpu.total_bytes ?? 0]));
  return {
    perf,
    fromMs: perf.span.from_ms,
    untilMs: Math.max(perf.span.until_ms, perf.span.from_ms + 1),
    queue: stepped(perf.queue, ["queued", "running"]),
    gpus: [...ids].sort().map((id) => ({
      id,
      totalBytes: total.get(id) ?? 0,
      curve: stepped(samples.get(id) ?? [], GPU_COLUMNS),
      gaps: perf.gaps.filter((gap) => gap.subject === `gpu:${id}`),
      workers: tracks.filter((one) => one.gpu === id).map((one) => one.track),
    })),
    jobs: new Map(perf.jobs.map((job) => [job.id, job])),
  };
}

const GPU_COLUMNS = ["foreign_bytes", "resident_bytes", "reserved_bytes", "free_bytes"] as const satisfies readonly (keyof Samples)[];

export function runBegin(run: Run): number {
  return run.started_ms ?? run.claimed_ms ?? run.admitted_ms ?? run.ended_ms ?? 0;
}

export function runEnd(run: Run): number {
  return run.ended_ms ?? runBegin(run) + (run.seconds ?? 0) * 1000;
}

export function nodeEnd(node: Node): number {
  return node.started_ms + node.seconds * 1000;
}

/** A figure of a curve at a moment; null: nothing is known. */
export function valueAt(curve: Curve | null, column: string, ms: number): number | null {
  if (!curve) return null;
  const n = upTo(curve.at, ms) - 1;
  if (n < 0 || ms > (curve.at[n] ?? 0) + (curve.holds[n] ?? 0)) return null;
  return curve.columns[column]?.[n] ?? null;
}

function key(job: string, attempt = 1): string {
  return `${attempt} ${job}`;
}

function grouped<T>(items: readonly T[], name: (one: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const one of items) {
    const some = found.get(name(one));
    if (some) some.push(one);
    else found.set(name(one), [one]);
  }
  return found;
}

interface Piece {
  step_s: number;
  at_ms: number[];
}

/** Means of steps: each holds for its step, a late one until the next. */
function stepped<T extends Piece>(pieces: readonly T[], names: readonly (keyof T & string)[]): Curve | null {
  const rows = pieces.flatMap((piece) => piece.at_ms.map((at, n) => ({ at, n, piece })));
  if (rows.length === 0) return null;
  rows.sort((a, b) => a.at - b.at);
  return {
    at: Float64Array.from(rows, (row) => row.at),
    holds: Float64Array.from(rows, (row, n) => held((rows[n + 1]?.at ?? Infinity) - row.at, row.piece.step_s * 1000)),
    columns: Object.fromEntries(
      names.map((name) => [name, Float64Array.from(rows, (row) => (row.piece[name] as number[])[row.n] ?? 0)]),
    ),
  };
}

// As the server tells gaps: a sample that is late by less than a step is none.
function held(next: number, step: number): number {
  return next < 2 * step ? next : step;
}

function memoryCurve(pieces: readonly Memory[]): Curve | null {
  const rows = pieces.flatMap((piece) => piece.at_ms.map((at, n) => ({ at, n, piece })));
  if (rows.length === 0) return null;
  rows.sort((a, b) => a.at - b.at);
  return {
    at: Float64Array.from(rows, (row) => row.at),
    // Between two pieces nothing is known; within one, each holds until the next.
    holds: Float64Array.from(rows, (row, n) => {
      const next = rows[n + 1];
      return next && next.piece === row.piece ? next.at - row.at : Math.min(SILENCE_MS, 250);
    }),
    columns: {
      allocated: Float64Array.from(rows, (row) => row.piece.allocated[row.n] ?? 0),
      reserved: Float64Array.from(rows, (row) => row.piece.reserved[row.n] ?? 0),
    },
  };
}
