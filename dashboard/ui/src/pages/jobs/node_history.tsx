import { count, took, when } from "../../format";
import { Xy } from "../../parts/xy";
import { href } from "../../router";
import type { JobLine, NodeBar, NodeDetail } from "./types";

/** Earlier runs listed beside the chart, slowest first. */
const LISTED = 5;

/** What the node took in earlier runs, and where this one stands. */
export function NodeHistory({ job, bar, detail }: { job: JobLine; bar: NodeBar; detail: NodeDetail }) {
  const { past, compared } = detail;
  if (bar.state === "cached") return null;
  if (compared === 0) {
    return (
      <section>
        <h4>History</h4>
        <p class="empty">No earlier run of this workflow had this node: there is nothing to compare it with.</p>
      </section>
    );
  }
  const points = past.map((run, n) => ({
    x: n - past.length,
    y: run.seconds,
    tone: "plain" as const,
    title: `${when(run.ended_ms)}: ${took(run.seconds)}`,
  }));
  const now = { x: 0, y: bar.seconds, tone: bar.slow.length ? ("bad" as const) : ("good" as const), title: "this run" };
  const across = (value: number | null, label: string) =>
    value === null ? [] : [{ label, dashed: true, points: [{ x: -past.length, y: value }, { x: 0, y: value }] }];
  return (
    <section>
      <h4>History</h4>
      <p>
        {standing(bar)} Half of {count(compared, "run")} took at most {took(bar.usual_seconds ?? 0)}, 95 % at most{" "}
        {took(bar.late_seconds ?? 0)}.
      </p>
      {past.length > 0 && (
        <Xy
          label={`Seconds of ${bar.class_type} in ${count(past.length, "earlier run")}, oldest first, and in this one`}
          x={{ title: "runs ago", format: (value) => String(Math.round(-value)) }}
          y={{ title: "seconds", format: took, zero: true }}
          points={[...points, now]}
          lines={[...across(bar.usual_seconds, "half"), ...across(bar.late_seconds, "95 %")]}
          height={150}
        />
      )}
      <Slowest job={job} past={past} />
    </section>
  );
}

function standing({ percentile }: NodeBar): string {
  if (percentile === null) return "";
  const share = Math.round(100 * percentile);
  return share === 100 ? "Slower than all of them, or as slow." : `${share} % of the runs took no longer.`;
}

function Slowest({ job, past }: { job: JobLine; past: NodeDetail["past"] }) {
  const known = past.filter((run) => run.job).sort((a, b) => b.seconds - a.seconds);
  if (known.length === 0) return null;
  const quickest = known[known.length - 1];
  const listed = [...known.slice(0, LISTED), ...(quickest && known.length > LISTED ? [quickest] : [])];
  return (
    <ul class="small runs">
      {listed.map((run) => (
        <li key={run.job}>
          {took(run.seconds)} · <a href={href("jobs", [run.job])}>{when(run.ended_ms)}</a> ·{" "}
          <a href={href("jobs", [job.id], { with: run.job })}>compare</a>
        </li>
      ))}
    </ul>
  );
}
