import { bytes, duration, reason, took } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import { href } from "../../router";
import type { JobDetail, NodeBar } from "./types";
import { blocker, ended, FALLBACKS, nodeName, soFar } from "./words";

interface Finding {
  tone: "bad" | "warn" | "plain";
  text: string;
  /** A node that it is about. */
  node?: string;
}

/** Loading that takes a smaller part of the run is not worth a word. */
const LOAD_SHARE = 0.25;
const LEAST_SECONDS = 1;

/** Why it took as long as it did, most telling first; and what to do. */
export function Findings({ detail }: { detail: JobDetail }) {
  const { gpus } = useLive();
  const found = findings(detail, (id) => gpuName(gpus, id));
  if (found.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="findings">
      <h2 id="findings">Where the time went</h2>
      <ul class="findings">
        {found.map(({ tone, text, node }) => (
          <li key={text} class={tone}>
            {text}{" "}
            {node && (
              <a href={href("jobs", [detail.job.id], { attempt: detail.attempt, node })}>Show the node</a>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function findings(detail: JobDetail, gpu: (id: string) => string): Finding[] {
  const found = [...failures(detail), ...tries(detail), ...fallbacks(detail), ...slowNodes(detail), ...loading(detail), ...waits(detail, gpu)];
  if (found.length === 0 && detail.job.state === "SUCCEEDED" && detail.compared > 0) {
    return [{ tone: "plain", text: "Nothing unusual: its nodes took what they take in this workflow." }];
  }
  return found;
}

function failures({ nodes }: JobDetail): Finding[] {
  return nodes
    .filter((bar) => bar.state === "failed")
    .map((bar) => ({
      tone: "bad",
      node: bar.node,
      text: `${named(bar)} failed after ${took(bar.seconds)}${bar.error ? ` with ${bar.error}` : ""}.`,
    }));
}

function tries({ steps }: JobDetail): Finding[] {
  const again = steps.filter((step) => step.state === "QUEUED");
  return again.map((step) => {
    const spent = duration(((step.until_ms ?? step.from_ms) - step.from_ms) / 1000);
    const promised = step.reserved_bytes ? ` with ${bytes(step.reserved_bytes)}` : "";
    if (step.reason === "oom") {
      const text = `Try ${step.attempt} ran out of memory${promised} after ${spent}, and it was queued again with more.`;
      return { tone: "warn", text };
    }
    const cause =
      step.reason === "preempted" ? "made room for another job" : `was lost with worker ${step.worker}`;
    return { tone: "warn", text: `Try ${step.attempt} ${cause} after ${spent}, and it was queued again.` };
  });
}

function fallbacks({ nodes }: JobDetail): Finding[] {
  return nodes
    .filter((bar) => bar.fallback)
    .map((bar) => ({
      tone: "bad",
      node: bar.node,
      text: `${named(bar)} took ${took(bar.seconds)}${usual(bar)}. ${FALLBACKS[bar.fallback] ?? bar.fallback}`,
    }));
}

function slowNodes({ nodes }: JobDetail): Finding[] {
  const late = nodes.filter((bar) => bar.slow.includes("late") && !bar.fallback);
  late.sort((a, b) => over(b) - over(a));
  return late.slice(0, 3).map((bar) => ({
    tone: "bad",
    node: bar.node,
    text: `${named(bar)} took ${took(bar.seconds)}${usual(bar)}: slower than 95 % of its runs.`,
  }));
}

function loading(detail: JobDetail): Finding[] {
  const { nodes, ran, job } = detail;
  const seconds = ran?.load_seconds ?? nodes.reduce((sum, bar) => sum + bar.load_seconds, 0);
  const all = ran?.seconds ?? (job.run_seconds || soFar(detail));
  if (seconds < LEAST_SECONDS || seconds < LOAD_SHARE * all) return [];
  const text =
    `${took(seconds)} of ${took(all)} went into loading models. ` +
    "Jobs with the same models in a row find them loaded.";
  return [{ tone: "warn", text }];
}

function waits({ job, waited }: JobDetail, gpu: (id: string) => string): Finding[] {
  if (job.wait_seconds === null || job.wait_seconds < LEAST_SECONDS) return [];
  if (ended(job.state) && job.wait_seconds < job.run_seconds / 2) return [];
  const causes = waited.slice(0, 3).map(({ reason: code, blocker: by, share }) => {
    const who = blocker(by, gpu);
    return `${Math.round(100 * share)} % ${word(code)}${who ? ` (in the way: ${who})` : ""}`;
  });
  const text = `It waited ${duration(job.wait_seconds)}${causes.length ? `: ${causes.join(", ")}` : ""}.`;
  return [{ tone: "warn", text }];
}

const word = (code: string): string =>
  code === "behind_own" ? "behind other jobs of the same user" : lower(reason(code));
const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
const over = (bar: NodeBar): number => bar.seconds - (bar.usual_seconds ?? 0);
const named = (bar: NodeBar): string => `${nodeName(bar)} (node ${bar.node})`;
const usual = (bar: NodeBar): string =>
  bar.usual_seconds === null ? "" : `, usually ${took(bar.usual_seconds)}`;
