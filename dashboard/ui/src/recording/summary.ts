// What a recording comes to: the figures of a report.
import { runBegin, runEnd } from "./model";
import type { Node, Perf, Run } from "./types";

export interface Summary {
  jobs: number;
  failed: number;
  cancelled: number;
  ooms: number;
  /** Seconds that jobs waited to be admitted. */
  waitMean: number | null;
  waitLate: number | null;
  /** Share of the GPUs' time in which a job ran there, 0…1. */
  busy: number | null;
  /** Share of the GPUs' memory that was held, 0…1. */
  held: number | null;
  /** Share of the GPUs' time of which nothing is known. */
  unknown: number | null;
}

/** Figures over the whole recording. */
export function summary(perf: Perf): Summary {
  const waits = perf.jobs
    .filter((job) => job.submitted_ms && job.admitted_ms && job.admitted_ms >= job.submitted_ms)
    .map((job) => ((job.admitted_ms ?? 0) - (job.submitted_ms ?? 0)) / 1000)
    .sort((a, b) => a - b);
  const states = (state: string): number => perf.jobs.filter((job) => job.state === state).length;
  return {
    jobs: perf.jobs.length,
    failed: states("FAILED"),
    cancelled: states("CANCELLED"),
    ooms: perf.jobs.reduce((sum, job) => sum + (job.ooms ?? 0), 0),
    waitMean: waits.length ? waits.reduce((a, b) => a + b, 0) / waits.length : null,
    waitLate: waits.length ? (waits[Math.ceil(waits.length * 0.95) - 1] ?? null) : null,
    busy: busy(perf),
    ...memory(perf),
  };
}

/** Runs of one GPU may overlap: its time is counted once. */
function busy(perf: Perf): number | null {
  const span = perf.span.until_ms - perf.span.from_ms;
  const gpus = new Set(perf.gpus.map((gpu) => gpu.id));
  // One's own work says nothing of how busy a GPU was.
  if (gpus.size === 0 || span <= 0 || perf.about.own) return null;
  let total = 0;
  for (const gpu of gpus) total += united(perf.runs.filter((run) => run.gpu === gpu), perf);
  return total / (span * gpus.size);
}

function united(runs: readonly Run[], perf: Perf): number {
  const sorted = [...runs].sort((a, b) => runBegin(a) - runBegin(b));
  let total = 0;
  let reached = perf.span.from_ms;
  for (const run of sorted) {
    const begin = Math.max(reached, runBegin(run));
    const end = Math.min(perf.span.until_ms, runEnd(run));
    if (end > begin) total += end - begin;
    reached = Math.max(reached, end);
  }
  return total;
}

function memory(perf: Perf): { held: number | null; unknown: number | null } {
  const span = perf.span.until_ms - perf.span.from_ms;
  let held = 0;
  let whole = 0;
  let known = 0;
  for (const piece of perf.samples) {
    known += piece.at_ms.length * piece.step_s * 1000;
    for (let n = 0; n < piece.at_ms.length; n += 1) {
      const used = (piece.foreign_bytes[n] ?? 0) + (piece.resident_bytes[n] ?? 0) + (piece.reserved_bytes[n] ?? 0);
      held += used * piece.step_s;
      whole += (used + (piece.free_bytes[n] ?? 0)) * piece.step_s;
    }
  }
  const all = span * perf.gpus.length;
  return {
    held: whole > 0 ? held / whole : null,
    unknown: all > 0 ? Math.max(0, 1 - known / all) : null,
  };
}

export interface ClassTime {
  name: string;
  runs: number;
  seconds: number;
  longest: number;
  fallbacks: number;
  failures: number;
  peakBytes: number;
}

/** Classes of nodes by the time that they took; what came from the cache took none. */
export function classes(perf: Perf): ClassTime[] {
  const found = new Map<string, ClassTime>();
  for (const node of perf.nodes) {
    if (node.cached) continue;
    let one = found.get(node.class);
    if (!one) {
      one = { name: node.class, runs: 0, seconds: 0, longest: 0, fallbacks: 0, failures: 0, peakBytes: 0 };
      found.set(node.class, one);
    }
    one.runs += 1;
    one.seconds += node.seconds;
    one.longest = Math.max(one.longest, node.seconds);
    one.fallbacks += node.fallback ? 1 : 0;
    one.failures += failed(node) ? 1 : 0;
    one.peakBytes = Math.max(one.peakBytes, node.peak_bytes ?? 0);
  }
  return [...found.values()].sort((a, b) => b.seconds - a.seconds);
}

export interface SlowNode {
  node: Node;
  /** Seconds that half of the nodes of its kind took, in the same workflow where that ran often. */
  usual: number;
}

/** Runs of a kind in one workflow, from which on others are not asked. */
const ENOUGH = 5;

/** Nodes that took longest beyond what is usual for their kind. */
export function slowest(perf: Perf, most: number): SlowNode[] {
  const workflow = new Map(perf.jobs.map((job) => [job.id, job.fingerprint ?? ""]));
  const ran = perf.nodes.filter((node) => !node.cached);
  const own = (node: Node): string => `${workflow.get(node.job) ?? ""} ${node.class}`;
  const byWorkflow = medians(ran, own);
  const byClass = medians(ran, (node) => node.class);
  const found = ran.map((node) => {
    const near = byWorkflow.get(own(node));
    const usual = near && near.runs >= ENOUGH ? near : byClass.get(node.class);
    return { node, usual: usual?.seconds ?? node.seconds };
  });
  return found
    .filter((one) => one.node.seconds > 2 * one.usual || one.node.fallback || failed(one.node))
    .sort((a, b) => b.node.seconds - b.usual - (a.node.seconds - a.usual))
    .slice(0, most);
}

function medians(nodes: readonly Node[], name: (node: Node) => string): Map<string, { seconds: number; runs: number }> {
  const found = new Map<string, number[]>();
  for (const node of nodes) {
    const some = found.get(name(node));
    if (some) some.push(node.seconds);
    else found.set(name(node), [node.seconds]);
  }
  return new Map(
    [...found].map(([kind, some]) => {
      some.sort((a, b) => a - b);
      return [kind, { seconds: some[(some.length - 1) >> 1] ?? 0, runs: some.length }];
    }),
  );
}

function failed(node: Node): boolean {
  return !!node.error || node.result === "failure";
}
