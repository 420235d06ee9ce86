// Codes of the API in words, with what to do where there is something.
import { reason as waitReason } from "../../format";
import type { Tone } from "../../parts/chip";
import type { JobDetail, NodeBar, StoryStep } from "./types";

const STATES: Record<string, [string, Tone]> = {
  QUEUED: ["waiting", "plain"],
  RESERVED: ["starting", "info"],
  RUNNING: ["running", "info"],
  CANCELLING: ["being cancelled", "warn"],
  SUCCEEDED: ["done", "good"],
  FAILED: ["failed", "bad"],
  CANCELLED: ["cancelled", "warn"],
};

export function state(code: string): [string, Tone] {
  return STATES[code] ?? [code.toLowerCase(), "plain"];
}

/** Whether nothing more happens to a job in this state. */
export function ended(code: string): boolean {
  return code === "SUCCEEDED" || code === "FAILED" || code === "CANCELLED";
}

/** Seconds that a job has run until now; 0: it does not run. */
export function soFar({ job, now_ms }: JobDetail): number {
  return job.started_ms && !ended(job.state) ? Math.max(0, now_ms - job.started_ms) / 1000 : 0;
}

const FAILURES: Record<string, string> = {
  node_error: "A node failed. Its error is below, and in ComfyUI's own history.",
  oom: "It ran out of GPU memory, also with more of it. Lower the resolution or the batch, or use a tiled VAE.",
  lost: "Its worker was lost each time. An admin can see why in that worker's log.",
  poison: "Workers went down under it again and again, so it is not tried any more.",
  infeasible: "It fits on no GPU of this pool. Lower the resolution or the batch.",
  expired: "Its deadline passed before it could start.",
  hung: "It gave no sign of life for so long that it was stopped.",
};

/** Why a job failed, or why it waits. */
export function why(jobState: string, code: string): string {
  if (!code) return "";
  return FAILURES[code] && ended(jobState) ? FAILURES[code] : waitReason(code);
}

const SHORT: Record<string, string> = {
  node_error: "a node failed",
  oom: "out of memory",
  lost: "worker lost",
  poison: "workers went down",
  infeasible: "fits nowhere",
  expired: "deadline passed",
  hung: "no sign of life",
  preempted: "made room for another job",
};

/** The same for a line of a list. */
export function shortly(code: string): string {
  return SHORT[code] ?? code.replaceAll("_", " ");
}

/** How one try ended, after its time. */
export function ending(step: StoryStep): string {
  if (step.until_ms === null) return step.what === "waiting" ? "waits" : "goes on";
  if (step.state === "QUEUED") return `${shortly(step.reason) || "given back"}; queued again`;
  if (!step.state) return "";
  const [word] = state(step.state);
  return step.reason ? `${word}: ${shortly(step.reason)}` : word;
}

export const FALLBACKS: Record<string, string> = {
  tiled:
    "The VAE ran out of memory and went on in tiles, which takes several times as long. " +
    "Use a tiled VAE node or a lower resolution, or ask an admin for more memory for this workflow.",
  cpu:
    "The VAE ran on the CPU, which takes many times as long. " +
    "Start the worker without --cpu-vae, or give it a GPU with more free memory.",
};

const FALLBACK_SHORT: Record<string, string> = { tiled: "fell back to tiles", cpu: "ran on the CPU" };

/** A fall-back for a line. */
export function fellBack(code: string): string {
  return FALLBACK_SHORT[code] ?? code;
}

const NODE_STATES: Record<NodeBar["state"], string> = {
  done: "done",
  cached: "cached",
  failed: "failed",
  interrupted: "interrupted",
  missing: "not reached",
  running: "runs",
};

/** A node's state; without its colour it has to be told as well. */
export function nodeState(bar: NodeBar, running: boolean): string {
  return bar.state === "missing" && running ? "to come" : NODE_STATES[bar.state];
}

/** Signs beside names. */
export const SIGNS: Record<NodeBar["state"], string> = {
  done: "",
  cached: "◇",
  failed: "✕",
  interrupted: "■",
  missing: "·",
  running: "▶",
};

/** Why a node is marked. */
export function slowness(bar: NodeBar): string {
  const parts = [];
  if (bar.slow.includes("late")) parts.push("slower than 95 % of its runs");
  if (bar.slow.includes("long")) parts.push("over 5 s");
  return parts.join(", ");
}

/** What was in the way: `gpu:…`, `worker:…`, `user:…`. */
export function blocker(code: string, gpu: (id: string) => string): string {
  const [kind = "", name = ""] = code.split(/:(.*)/s);
  if (kind === "user") return name === "others" ? "other users' jobs" : `jobs of ${name}`;
  if (kind === "gpu") return gpu(name);
  return kind === "worker" ? `worker ${name}` : "";
}

/** A node's name: what its user calls it, or its class. */
export function nodeName(bar: { title: string; class_type: string }): string {
  return bar.title || bar.class_type || "unknown node";
}
