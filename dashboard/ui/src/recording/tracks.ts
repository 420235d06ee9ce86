// Where things of a recording are drawn: rows from top to bottom, of which only seen ones are.
import type { GpuTrack, Model, WorkerTrack } from "./model";

export const RUN = 20;
export const NODE = 14;
const MOVE = 8;
const CURVE = 52;
const MEMORY = 30;
const QUEUE = 36;
const GAP = 10;
const HEAD = 18;

export type Row =
  | { kind: "head"; top: number; height: number; title: string }
  | { kind: "queue"; top: number; height: number; title: string }
  | { kind: "gpu"; top: number; height: number; title: string; gpu: GpuTrack }
  | { kind: "memory"; top: number; height: number; title: string; worker: WorkerTrack; most: number }
  | { kind: "runs" | "nodes" | "moves"; top: number; height: number; title: string; worker: WorkerTrack; lane: number };

/** All rows, and how high they are together, px. */
export function layOut(model: Model): { rows: Row[]; height: number } {
  const rows: Row[] = [];
  let top = 0;
  const add = (height: number, row: Record<string, unknown> & { kind: Row["kind"]; title: string }): void => {
    rows.push({ ...row, top, height } as Row);
    top += height + 2;
  };
  if (model.queue) {
    add(QUEUE, { kind: "queue", title: "Queue, jobs" });
    top += GAP;
  }
  for (const gpu of model.gpus) {
    if (gpu.id || gpu.workers.length > 0) add(HEAD, { kind: "head", title: gpu.id ? `GPU ${gpu.id}` : "No GPU" });
    if (gpu.curve) add(CURVE, { kind: "gpu", title: "Memory", gpu });
    for (const worker of gpu.workers) addWorker(worker, add);
    top += GAP;
  }
  return { rows, height: top };
}

type Add = (height: number, row: Record<string, unknown> & { kind: Row["kind"]; title: string }) => void;

function addWorker(worker: WorkerTrack, add: Add): void {
  worker.runs.forEach((_, lane) => add(RUN, { kind: "runs", title: lane ? "" : worker.id, worker, lane }));
  worker.nodes.forEach((_, lane) => add(NODE, { kind: "nodes", title: lane ? "" : "nodes", worker, lane }));
  worker.moves.forEach((_, lane) => add(MOVE, { kind: "moves", title: lane ? "" : "models", worker, lane }));
  if (worker.memory) {
    const most = worker.memory.columns.reserved?.reduce((a, b) => Math.max(a, b), 0) ?? 0;
    add(MEMORY, { kind: "memory", title: "torch", worker, most });
  }
}

/** The row at a height, px. */
export function rowAt(rows: readonly Row[], y: number): Row | null {
  return rows.find((row) => y >= row.top && y < row.top + row.height) ?? null;
}
