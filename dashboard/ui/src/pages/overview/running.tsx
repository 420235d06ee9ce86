import { count, duration, gib, shortId } from "../../format";
import type { View } from "../../live";
import type { JobRow, Progress } from "../../live_tables";
import { Bar } from "../../parts/bar";
import { Chip } from "../../parts/chip";
import { href } from "../../router";
import type { Session } from "../../session";

interface Props {
  view: View;
  now: number;
  session: Session;
}

/** Everything that runs, side by side, each with its node of the moment. */
export function Running({ view, now, session }: Props) {
  const { running, pool } = view;
  const more = session.seesAll ? (pool?.running ?? 0) - running.length : 0;
  const others = session.seesAll ? 0 : (pool?.running ?? 0) - running.length;
  return (
    <section aria-labelledby="running">
      <h2 id="running">{session.seesAll ? "Running" : "Running, yours"}</h2>
      {running.length === 0 ? (
        <p class="card empty">
          {session.seesAll ? "Nothing runs." : "None of your jobs runs."}
          {others > 0 && ` ${count(others, "job")} of others ${others === 1 ? "does" : "do"}.`}
        </p>
      ) : (
        <ul class="cards runs" aria-label="Running jobs">
          {running.map((job) => (
            <Run key={job.id} job={job} view={view} now={now} named={session.seesAll} />
          ))}
        </ul>
      )}
      {more > 0 && <p class="muted small">and {count(more, "job")} more</p>}
      {others > 0 && running.length > 0 && (
        <p class="muted small">
          {count(others, "job")} of others {others === 1 ? "runs" : "run"} beside yours
        </p>
      )}
    </section>
  );
}

interface RunProps {
  job: JobRow;
  view: View;
  now: number;
  named: boolean;
}

function Run({ job, view, now, named }: RunProps) {
  const at = view.progress.find((one) => one.id === job.id);
  const gpu = view.gpus.find((one) => one.id === job.gpu);
  const seconds = (now - job.since_ms) / 1000;
  return (
    <li class="card run">
      <div class="card-head">
        <a class="mono" href={href("jobs", [job.id])} title={job.prompt_id}>
          {shortId(job.prompt_id)}
        </a>
        {named && <strong>{job.user}</strong>}
        {job.state !== "RUNNING" && <Chip tone="warn">{job.state.toLowerCase()}</Chip>}
        {job.attempt > 1 && <Chip tone="info">attempt {job.attempt}</Chip>}
        <span class="muted small push">
          {gpu ? `${gpu.agent} · GPU ${gpu.index}` : job.worker}
          {job.bytes > 0 && ` · ${gib(job.bytes)}`}
        </span>
      </div>
      <Node at={at} now={now} />
      <Expected seconds={seconds} need={job.need_seconds} />
      {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
    </li>
  );
}

function Node({ at, now }: { at: Progress | undefined; now: number }) {
  if (!at) return <p class="muted small">Which node runs is not told.</p>;
  const name = at.class_type || `node ${at.node}`;
  const steps = at.most > 1 ? `${at.value} of ${at.most}` : "";
  const nodes = at.nodes > 0 ? `${at.done} of ${at.nodes} nodes done` : "";
  return (
    <div class="run-part">
      <span class="run-node">{name}</span>
      <span class="muted small">
        {[steps, at.since_ms > 0 && duration((now - at.since_ms) / 1000), nodes].filter(Boolean).join(" · ")}
      </span>
      {at.most > 1 && (
        <Bar
          label={`${name}: ${steps}`}
          total={at.most}
          parts={[{ label: "done", value: at.value, tone: "reserved" }]}
        />
      )}
    </div>
  );
}

/** How long it runs, against what its kind is known to take. */
function Expected({ seconds, need }: { seconds: number; need: number }) {
  if (need <= 0) return <p class="small">for {duration(seconds)}</p>;
  const over = seconds > need * 1.5 && seconds - need > 5;
  return (
    <div class="run-part">
      <span class={over ? "small run-late" : "small"}>
        {duration(seconds)} of about {duration(Math.max(1, need))}
        {over && ": slower than its kind"}
      </span>
      <Bar
        label={`${duration(seconds)} of about ${duration(need)}`}
        total={Math.max(need, seconds)}
        parts={[
          { label: "as expected", value: Math.min(seconds, need), tone: "resident" },
          { label: "longer", value: Math.max(0, seconds - need), tone: "warn" },
        ]}
      />
    </div>
  );
}
