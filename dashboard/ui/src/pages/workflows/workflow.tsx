import { useApi } from "../../api";
import { bytes, count, percent, shortId, took } from "../../format";
import { Problem } from "../../parts/problem";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { href, useRoute } from "../../router";
import type { Session } from "../../session";
import { Estimates } from "./estimates";
import { LearnedCard } from "./learned";
import { Failing, Nodes } from "./nodes";
import { Runs } from "./runs";
import { Trend } from "./trend";
import type { WorkflowDetail } from "./types";

/** One kind of workflow: its trend, what was learned, how right that was, where it fails. */
export function Workflow({ kind, session }: { kind: string; session: Session }) {
  const { query } = useRoute();
  const span = useSpan("30d");
  const asked = { ...span.query, user: query.user, zone: -new Date().getTimezoneOffset() };
  const { data, problem, reload } = useApi<WorkflowDetail>(`workflows/${encodeURIComponent(kind)}`, asked);
  return (
    <div class="page">
      <p class="muted small">
        <a href={href("workflows")}>Workflows</a> / <span class="mono">{shortId(kind)}</span>
      </p>
      <h1>{data?.workflow.name ?? "Workflow"}</h1>
      <div class="filters">
        <TimeSpan preset="30d" />
        <a class="beside" href={href("jobs", [], { workflow: kind, last: "30d" })}>
          its jobs
        </a>
      </div>
      {problem && <Problem message={problem.message} retry={reload} />}
      {!data && !problem && (
        <p class="first" role="status">
          Loading…
        </p>
      )}
      {data && (
        <>
          {!session.seesAll && <p class="muted small">Figures are those of your own jobs.</p>}
          <Totals data={data} />
          <div class="panels">
            <Trend data={data} />
            <LearnedCard learned={data.learned} />
          </div>
          <Estimates data={data} />
          <div class="panels uneven">
            <Failing data={data} />
            <Nodes data={data} own={!session.seesAll} />
          </div>
          <Runs data={data} seesAll={session.seesAll} />
        </>
      )}
    </div>
  );
}

function Totals({ data }: { data: WorkflowDetail }) {
  const jobs = data.days.reduce((sum, day) => sum + day.jobs, 0);
  const failed = data.days.reduce((sum, day) => sum + day.failed, 0);
  const seconds = data.days.reduce((sum, day) => sum + day.gpu_seconds, 0);
  const peaks = data.runs.map((run) => run.peak_bytes).filter((peak) => peak > 0);
  const peak = peaks.reduce((a, b) => Math.max(a, b), 0);
  return (
    <dl class="totals">
      <div>
        <dt>Jobs</dt>
        <dd>{jobs.toLocaleString("en")}</dd>
      </div>
      <div>
        <dt>Failed</dt>
        <dd>
          {failed.toLocaleString("en")} {failed > 0 && <span class="note">{percent(failed, jobs)}</span>}
        </dd>
      </div>
      <div>
        <dt>GPU time a job</dt>
        <dd>{jobs ? took(seconds / jobs) : "–"}</dd>
      </div>
      <div>
        <dt>Highest peak</dt>
        <dd title={`of the newest ${count(peaks.length, "run")}`}>{peak ? bytes(peak) : "–"}</dd>
      </div>
    </dl>
  );
}
