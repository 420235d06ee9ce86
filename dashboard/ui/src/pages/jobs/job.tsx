import { useMemo, useState } from "preact/hooks";
import { useApi } from "../../api";
import { useLive } from "../../live";
import type { Progress } from "../../live_tables";
import { bytes, count, duration, reason, shortId, took, when } from "../../format";
import { useKeys } from "../../keys";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { Take } from "../../recording/take";
import { href, type Query, setQuery } from "../../router";
import { JobAdvice } from "../advice/of_job";
import { CompareWith } from "./compare_with";
import { Findings } from "./findings";
import { Lanes } from "./lanes";
import { MemoryPlot } from "./memory_plot";
import { Models } from "./models";
import { NodePanel } from "./node_panel";
import { Outputs } from "./outputs";
import { StateChip } from "./state_chip";
import { Story } from "./story";
import type { JobDetail, NodeBar } from "./types";
import { soon } from "../../waits";
import { ended, soFar, why } from "./words";

/** How often a job that has not ended is asked for again. */
const AGAIN_S = 2;

/** One job: why it took so long, what it waited for, its nodes, its memory. */
export function Job({ id, query }: { id: string; query: Query }) {
  const [live, setLive] = useState(true);
  const asked = { attempt: query.attempt, user: query.user };
  const { data, problem, reload } = useApi<JobDetail>(`jobs/${encodeURIComponent(id)}`, asked, live ? AGAIN_S : 0);
  const done = data ? ended(data.job.state) : false;
  if (data && done === live) setLive(!done);
  if (!data) {
    return (
      <div class="page">
        <h1>Job {shortId(id)}</h1>
        {problem ? <Problem message={problem.message} retry={reload} /> : <p role="status">Loading…</p>}
        <p>
          <a href={href("jobs")}>All jobs</a>
        </p>
      </div>
    );
  }
  return (
    <div class="page">
      <Head detail={data} />
      {data.attempt > 0 && <Take job={data.job.id} {...(query.user ? { user: query.user } : {})} />}
      {problem && <Problem message={problem.message} retry={reload} />}
      <Findings detail={data} />
      <JobAdvice job={data.job.id} />
      <Story detail={data} />
      <Run key={`${data.job.id} ${data.attempt}`} detail={data} query={query} running={!done} />
      <div class="panels">
        <Outputs detail={data} />
        <CompareWith job={data.job} />
      </div>
    </div>
  );
}

function Head({ detail }: { detail: JobDetail }) {
  const { job, waiting } = detail;
  const running = soFar(detail);
  return (
    <header class="job-head">
      <p class="muted small">
        <a href={href("jobs")}>Jobs</a> / <span class="mono">{shortId(job.id)}</span>
      </p>
      <h1>{job.workflow.name || "Job"}</h1>
      <p class="job-facts">
        <StateChip code={job.state} reason={job.reason} />
        <Chip title="Who posted it">{job.user}</Chip>
        {job.lane === "batch" && <Chip title="Interactive jobs of its user go first">batch</Chip>}
        {job.workflow.fingerprint && (
          <a href={href("workflows", [job.workflow.fingerprint])}>all runs of this workflow</a>
        )}
      </p>
      <dl class="totals">
        <Figure name="Posted" value={job.submitted_ms ? when(job.submitted_ms) : "–"} />
        <Figure name="Waited" value={job.wait_seconds === null ? "–" : duration(job.wait_seconds)} />
        <Figure
          name="Ran"
          value={job.run_seconds ? took(job.run_seconds) : running ? duration(running) : "–"}
          note={[running > 0 && "so far", job.need_seconds && `expected ${took(job.need_seconds)}`].filter(Boolean).join(", ")}
        />
        <Figure
          name="Peak memory"
          value={job.peak_bytes ? bytes(job.peak_bytes) : "–"}
          note={job.reserved_bytes ? `of ${bytes(job.reserved_bytes)} promised` : ""}
        />
        <Figure name="Where" value={job.worker || "–"} />
      </dl>
      <Standing detail={detail} />
      {job.reason && ended(job.state) && <p class="problem">{why(job.state, job.reason)}</p>}
      {waiting && (
        <p class="banner-line">
          <strong>{reason(waiting.reason)}.</strong> {waiting.detail} {starts(waiting, detail.now_ms)}
        </p>
      )}
    </header>
  );
}

function starts({ start_p50_ms: half, start_p90_ms: most }: NonNullable<JobDetail["waiting"]>, now: number): string {
  if (!half) return "When it starts is not foreseen.";
  const at = half - now < 1000 ? "It should start any moment" : `It should start in about ${soon(half, now)}`;
  return most - now >= 1000 ? `${at}, in 9 of 10 cases within ${soon(most, now)}.` : `${at}.`;
}

/** The node that runs just now, from the live line. */
function Standing({ detail }: { detail: JobDetail }) {
  const now = useLive().progress.find((one) => one.id === detail.job.id);
  if (!now || ended(detail.job.state)) return null;
  const steps = now.most > 0 ? `, ${now.value} of ${now.most}` : "";
  const nodes = now.nodes > 0 ? ` (${now.done} of ${count(now.nodes, "node")} are over)` : "";
  return (
    <p class="banner-line">
      Just now it runs <strong>{now.class_type || `node ${now.node}`}</strong>
      {steps}
      {nodes}.
    </p>
  );
}

function Figure({ name, value, note = "" }: { name: string; value: string; note?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {note && <span class="note muted">{note}</span>}
      </dd>
    </div>
  );
}

export interface Range {
  from: number;
  until: number;
}

/** Nodes and memory of one attempt, over one time axis. */
function Run({ detail, query, running }: { detail: JobDetail; query: Query; running: boolean }) {
  const live = useLive();
  const now = live.progress.find((one) => one.id === detail.job.id);
  const nodes = useMemo(() => (running && now ? withRunning(detail, now) : detail.nodes), [detail, now, running]);
  const whole = useMemo(() => wholeOf({ ...detail, nodes }), [detail, nodes]);
  const from = Number(query.from);
  const until = Number(query.until);
  const zoomed = query.from !== undefined && until > from;
  const shown = zoomed ? { from, until } : whole;
  const reset = (): void => setQuery({ from: null, until: null });
  useKeys([{ keys: "0", does: "Show the job's whole time", run: reset }]);
  if (!whole || !shown) {
    return (
      <section class="panel">
        <h2>Nodes</h2>
        <Empty title={running ? "It has not started yet" : "It never ran"}>
          {running ? "Its nodes appear here while they run." : "There is nothing to show of its nodes."}
        </Empty>
      </section>
    );
  }
  const selected = nodes.find((bar) => bar.node === query.node);
  return (
    <section class="panel run" aria-labelledby="run">
      <div class="run-head">
        <h2 id="run">
          Nodes and memory
          {detail.job.attempts > 1 && ` of try ${detail.attempt}`}
        </h2>
        {detail.compared > 0 && (
          <span class="muted small">compared with {count(detail.compared, "earlier run")} of this workflow</span>
        )}
        {zoomed && (
          <button type="button" class="quiet" onClick={reset}>
            Whole time
          </button>
        )}
      </div>
      <Lanes nodes={nodes} moves={detail.moves} whole={whole} shown={shown} running={running} selected={query.node ?? ""} />
      <MemoryPlot detail={detail} shown={shown} running={running} />
      <Models detail={detail} />
      {selected && <NodePanel job={detail.job} attempt={detail.attempt} bar={selected} running={running} />}
    </section>
  );
}

/** The nodes, with the one that runs at this moment: the probe tells of it when it is over. */
function withRunning(detail: JobDetail, now: Progress): NodeBar[] {
  const known = detail.nodes.find((bar) => bar.node === now.node);
  if (known?.reached) return detail.nodes;
  const seconds = Math.max(0, detail.now_ms - now.since_ms) / 1000;
  const bar: NodeBar = {
    ...(known ?? { ...BLANK, node: now.node, class_type: now.class_type }),
    state: "running",
    started_ms: now.since_ms,
    seconds,
  };
  const told = detail.nodes.filter((one) => one.reached);
  return [...told, bar, ...detail.nodes.filter((one) => !one.reached && one !== known)];
}

/** A node of which nobody has told anything. */
const BLANK: NodeBar = {
  node: "",
  display: "",
  class_type: "",
  title: "",
  reached: false,
  state: "missing",
  started_ms: 0,
  seconds: 0,
  load_seconds: 0,
  calls: 0,
  error: "",
  before_bytes: null,
  after_bytes: null,
  peak_bytes: null,
  out_bytes: null,
  fallback: "",
  usual_seconds: null,
  late_seconds: null,
  percentile: null,
  slow: [],
};

/** From the attempt's start to its end, as far as anything tells; null: it has had none. */
function wholeOf({ ran, steps, attempt, nodes, now_ms }: JobDetail): Range | null {
  const mine = steps.filter((step) => step.attempt === attempt && step.what === "running");
  const told = nodes.filter((bar) => bar.reached || bar.state === "running");
  const begins = [
    ...(ran ? [ran.started_ms] : mine.map((step) => step.from_ms)),
    ...told.map((bar) => bar.started_ms),
  ];
  const ends = [
    ...(ran ? [ran.started_ms + ran.seconds * 1000] : mine.map((step) => step.until_ms ?? now_ms)),
    ...told.map((bar) => bar.started_ms + bar.seconds * 1000),
  ];
  if (begins.length === 0) return null;
  const from = least(begins);
  return { from, until: Math.max(from + 10, most(ends)) };
}

// Graphs may have thousands of nodes: more than a call may have arguments is not asked for.
const least = (values: number[]): number => values.reduce((a, b) => Math.min(a, b));
const most = (values: number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
