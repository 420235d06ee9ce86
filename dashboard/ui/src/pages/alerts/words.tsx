import { celsius } from "../../format";
import { Chip, type Tone } from "../../parts/chip";
import { href } from "../../router";
import type { Alert } from "./shapes";

/** A figure in its unit: `12 s`, `1.8 %`, `91 °C`, `23 jobs`. */
export function figure(value: number, unit: string): string {
  switch (unit) {
    case "seconds":
      return spell(value);
    case "share":
      return `${(100 * value).toFixed(Math.abs(value) < 0.1 ? 1 : 0)} %`;
    case "celsius":
      return celsius(value);
    case "jobs":
      return `${Math.round(value).toLocaleString("en")} ${value === 1 ? "job" : "jobs"}`;
    default:
      return value ? "yes" : "no";
  }
}

/** Seconds, as long as need be: `7.25 s`, `10 min`, `6 h`. */
export function spell(seconds: number): string {
  const [size, unit] = seconds < 90 ? [1, "s"] : seconds < 5400 ? [60, "min"] : [3600, "h"];
  return `${Number((seconds / size).toPrecision(3))} ${unit}`;
}

/** `over 5 s`, `under 2.0 %`; nothing where it is true or not. */
export function limitWords(limit: number, unit: string, below: boolean): string {
  return unit ? `${below ? "under" : "over"} ${figure(limit, unit)}` : "";
}

const TONES: Record<string, Tone> = { critical: "bad", warning: "warn", info: "info" };

export function Severity({ name }: { name: string }) {
  return <Chip tone={TONES[name] ?? "plain"}>{name}</Chip>;
}

/** Why nobody is told of it, if so. */
export function Muted({ alert }: { alert: Alert }) {
  const [how, what] = alert.muted.split(/:(.*)/s);
  if (how === "silence") return <Chip title="An admin has silenced it">silenced</Chip>;
  if (how === "behind") return <Chip title={`A consequence of ${what}`}>follows from {what}</Chip>;
  return null;
}

/** Time around what happened, so that a curve shows what led to it. */
const AROUND_MS = 600_000;

/** Where to see why: the job with its node, the GPU's curve of that time, the queue of that user. */
export function evidence(alert: Alert): { to: string; text: string } | null {
  const { job, attempt, node, gpu, from_ms, until_ms } = alert.where;
  if (job && alert.kind !== "wait" && alert.kind !== "wait_soon") {
    return { to: href("jobs", [job], { attempt, node }), text: node ? "The job at this node" : "The job" };
  }
  if (alert.kind === "wait" || alert.kind === "wait_soon" || alert.kind === "queue") {
    const user = alert.ended_ms === null ? alert.user : null;
    return { to: href("queue", [], { user }), text: "The queue" };
  }
  const span = {
    from: Math.floor((from_ms ?? alert.began_ms) - AROUND_MS),
    until: Math.ceil((alert.ended_ms ?? until_ms ?? alert.since_ms) + AROUND_MS),
  };
  if (gpu) return { to: href("gpus", [gpu], span), text: "The GPU at that time" };
  if (alert.where.agent || alert.where.worker) return { to: href("gpus", [], span), text: "The GPUs at that time" };
  return null;
}
