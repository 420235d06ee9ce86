import { count, duration, reason } from "../../format";
import type { JobRow, Overview, QueueRow } from "../../types";

/** Queue depth of each user, as bars. */
export function Queue({ overview }: { overview: Overview }) {
  const rows = [...overview.queue].sort((a, b) => depth(b) - depth(a));
  const longest = Math.max(1, ...rows.map(depth));
  return (
    <section class="panel" aria-labelledby="queue">
      <h2 id="queue">Queue by user</h2>
      {rows.length === 0 ? (
        <p class="empty">
          Nobody waits. Point a ComfyUI client at <code>{location.origin}</code> and queue a prompt.
        </p>
      ) : (
        <table class="bars">
          <caption class="hidden">Unfinished jobs of each user</caption>
          <thead class="hidden">
            <tr>
              <th scope="col">User</th>
              <th scope="col">Share</th>
              <th scope="col">Jobs</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.user}>
                <th scope="row">{row.user === overview.user ? <strong>{row.user}</strong> : row.user}</th>
                <td class="bar" aria-hidden="true">
                  <span class="running" style={{ width: `${(100 * row.running) / longest}%` }} />
                  <span class="queued" style={{ width: `${(100 * row.queued) / longest}%` }} />
                </td>
                <td class="number">
                  {row.running} running, {row.queued} waiting
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function depth(row: QueueRow): number {
  return row.queued + row.running;
}

interface Props {
  overview: Overview;
  nowMs: number;
}

/** Jobs that run. */
export function Running({ overview, nowMs }: Props) {
  const names = new Map(overview.gpus.map((gpu) => [gpu.id, `${gpu.agent} GPU ${gpu.index}`]));
  return (
    <section class="panel" aria-labelledby="running">
      <h2 id="running">{overview.role === "admin" ? "Running" : "Running, yours"}</h2>
      {overview.running.length === 0 ? (
        <p class="empty">{overview.role === "admin" ? "Nothing runs." : "None of your jobs runs."}</p>
      ) : (
        <table class="jobs">
          <thead>
            <tr>
              <th scope="col">Job</th>
              <th scope="col">Where</th>
              <th scope="col" class="number">
                For
              </th>
            </tr>
          </thead>
          <tbody>
            {overview.running.map((job) => (
              <tr key={job.prompt_id + job.user}>
                <JobId job={job} />
                <td>
                  {job.worker}
                  {job.state !== "RUNNING" && <span class="chip">{job.state.toLowerCase()}</span>}
                  <span class="detail">{names.get(job.gpu) ?? ""}</span>
                  {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
                </td>
                <td class="number">{duration((nowMs - job.since_ms) / 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <More n={overview.running_more} />
    </section>
  );
}

/** Jobs that wait, and why. */
export function Waiting({ overview, nowMs }: Props) {
  const late = (nowMs - overview.now_ms) / 1000;
  return (
    <section class="panel" aria-labelledby="waiting">
      <h2 id="waiting">{overview.role === "admin" ? "Waiting" : "Waiting, yours"}</h2>
      {overview.waiting.length === 0 ? (
        <p class="empty">{overview.role === "admin" ? "Nothing waits." : "None of your jobs waits."}</p>
      ) : (
        <table class="jobs">
          <thead>
            <tr>
              <th scope="col">Job</th>
              <th scope="col">Why it waits</th>
              <th scope="col" class="number">
                Starts in about
              </th>
              <th scope="col" class="number">
                For
              </th>
            </tr>
          </thead>
          <tbody>
            {overview.waiting.map((job) => (
              <tr key={job.prompt_id + job.user}>
                <JobId job={job} />
                <td>
                  {reason(job.wait_reason)}
                  {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
                  {job.blocker && <span class="detail">{blockedBy(job.blocker, overview)}</span>}
                </td>
                <td class="number">
                  {soon(job.start_p50_seconds, late)}
                  {job.start_p90_seconds !== null && (
                    <span class="detail">9 of 10 within {duration(job.start_p90_seconds - late)}</span>
                  )}
                </td>
                <td class="number">{duration((nowMs - job.since_ms) / 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <More n={overview.waiting_more} />
    </section>
  );
}

/** A forecast that was made `late` seconds ago. */
function soon(seconds: number | null, late: number): string {
  if (seconds === null) return "–";
  return seconds - late < 1 ? "any moment" : duration(seconds - late);
}

function blockedBy(id: string, overview: Overview): string {
  const gpu = overview.gpus.find((one) => one.id === id);
  if (gpu) return `in its way: ${gpu.agent} GPU ${gpu.index}`;
  return `in its way: ${id.length > 16 ? id.slice(0, 8) : id}`;
}

function JobId({ job }: { job: JobRow }) {
  return (
    <td class="job">
      <span class="id" title={job.prompt_id}>
        {job.prompt_id.length > 12 ? job.prompt_id.slice(0, 8) : job.prompt_id}
      </span>
      <span class="detail" title={job.user}>
        {job.user}
      </span>
    </td>
  );
}

function More({ n }: { n: number }) {
  return n > 0 ? <p class="muted small">and {count(n, "job")} more</p> : null;
}
