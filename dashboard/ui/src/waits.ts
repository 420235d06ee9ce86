// Why a job waits and until when, in words.
import { duration, reason, shortId } from "./format";
import { gpuName } from "./gpu_names";
import type { View } from "./live";

/** A waiting job's reason. */
export function why(job: { wait_reason: string }): string {
  return reason(job.wait_reason);
}

/** What is in its way: a GPU, a worker, or another job. */
export function inItsWay(id: string, view: Pick<View, "gpus" | "running">): string {
  if (view.gpus.some((one) => one.id === id)) return `in its way: ${gpuName(view.gpus, id)}`;
  const job = view.running.find((one) => one.id === id);
  if (job) return `in its way: job ${shortId(job.prompt_id)} of ${job.user}`;
  return `in its way: ${shortId(id)}`;
}

/** When a job starts that is foreseen for `atMs` (0: it is not). */
export function soon(atMs: number, nowMs: number): string {
  if (!atMs) return "–";
  return atMs - nowMs < 1000 ? "any moment" : duration((atMs - nowMs) / 1000);
}
