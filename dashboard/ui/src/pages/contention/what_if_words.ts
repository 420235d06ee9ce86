// A change in words, and the two differences that a reader must tell apart.
import { count, gib } from "../../format";
import { gpuName } from "../../gpu_names";
import type { Gpu } from "../../live_tables";
import type { Change, Limit, Waits } from "./shapes";

const NUMBERS: Record<string, string> = {
  aging: "aging",
  cold_loads: "cold loads on one GPU",
  max_running: "most jobs running",
  max_skips: "most skips",
  preemption: "preemption",
  strict_order: "strict order",
  window: "window",
};

/** What is changed, one part each: `one more GPU like studio-a GPU 0`. */
export function inWords(change: Change, gpus: readonly Gpu[]): string[] {
  return [
    ...(change.more_gpus ?? []).map(({ like, count: more = 1 }) =>
      more === 1 ? `one more GPU like ${gpuName(gpus, like)}` : `${more} more GPUs like ${gpuName(gpus, like)}`,
    ),
    ...Object.entries(change.vram ?? {}).map(([gpu, bytes]) => `${gpuName(gpus, gpu)} with ${gib(bytes)}`),
    ...(change.workers_per_gpu ? [`${count(change.workers_per_gpu, "worker")} on each GPU`] : []),
    ...Object.entries(change.users ?? {}).flatMap(([name, limit]) => limits(name, limit)),
    ...Object.entries(change.groups ?? {}).flatMap(([name, limit]) => limits(`group ${name}`, limit)),
    ...Object.entries(change.scheduler ?? {}).map(
      ([name, value]) => `${NUMBERS[name] ?? name} ${value === true ? "on" : value === false ? "off" : value}`,
    ),
  ];
}

function limits(name: string, limit: Limit): string[] {
  const told: string[] = [];
  if (limit.max_running === null) told.push(`no limit of running jobs for ${name}`);
  if (typeof limit.max_running === "number") {
    told.push(`at most ${limit.max_running} running for ${name}`);
  }
  if (limit.weight !== undefined) told.push(`weight ${limit.weight} for ${name}`);
  if (limit.vram_share === null) told.push(`no memory limit for ${name}`);
  if (typeof limit.vram_share === "number") {
    told.push(`at most ${Math.round(100 * limit.vram_share)} % of memory for ${name}`);
  }
  return told;
}

/** From one wait to another, in seconds and as a share: `−12.1 s (−40 %)`. */
export function difference(from: number, to: number): string {
  const by = to - from;
  const sign = by < 0 ? "−" : "+";
  const share = from > 0 ? ` (${sign}${Math.abs(Math.round((100 * by) / from))} %)` : "";
  return Math.abs(by) < 0.05 ? "no difference" : `${sign}${Math.abs(by).toFixed(1)} s${share}`;
}

/** Seconds with their unit. */
export function seconds(value: number): string {
  return `${value.toFixed(value < 100 ? 1 : 0)} s`;
}

/** Whether the change is more than what the model gets wrong anyway. */
export function beyondError(recorded: Waits, again: Waits, changed: Waits): boolean {
  return Math.abs(changed.mean_s - again.mean_s) > Math.abs(again.mean_s - recorded.mean_s);
}
