import { duration, shortId } from "../../format";
import type { View } from "../../live";
import type { JobRow } from "../../live_tables";
import type { Column } from "../../parts/table";
import { Table } from "../../parts/table";
import { href } from "../../router";
import type { Session } from "../../session";
import { inItsWay, soon, why } from "../../waits";

const MOST = 8;

interface Props {
  view: View;
  now: number;
  session: Session;
}

/** The jobs that start next, and why they wait. */
export function Waiting({ view, now, session }: Props) {
  const rows = view.waiting.slice(0, MOST);
  const own = view.queue.find((row) => row.id === session.user)?.queued ?? 0;
  const all = session.seesAll ? (view.pool?.queued ?? 0) : own;
  const columns: Column<JobRow>[] = [
    {
      key: "job",
      title: "Job",
      value: (job) => job.id,
      sortable: false,
      show: (job) => (
        <>
          <a class="mono" href={href("jobs", [job.id])} title={job.prompt_id}>
            {shortId(job.prompt_id)}
          </a>
          {session.seesAll && <span class="detail">{job.user}</span>}
        </>
      ),
    },
    {
      key: "why",
      title: "Why it waits",
      value: (job) => job.wait_reason,
      sortable: false,
      show: (job) => (
        <>
          {why(job)}
          {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
          {job.blocker && <span class="detail">{inItsWay(job.blocker, view)}</span>}
        </>
      ),
    },
    {
      key: "start",
      title: "Starts in about",
      number: true,
      value: (job) => job.start_p50_ms,
      sortable: false,
      show: (job) => (
        <>
          {soon(job.start_p50_ms, now)}
          {job.start_p90_ms > 0 && (
            <span class="detail">9 of 10 within {duration((job.start_p90_ms - now) / 1000)}</span>
          )}
        </>
      ),
    },
  ];
  return (
    <section class="panel" aria-labelledby="waiting">
      <h2 id="waiting">{session.seesAll ? "Next to start" : "Next to start, yours"}</h2>
      <Table
        caption="Jobs that wait, the next to start first"
        columns={columns}
        rows={rows}
        id={(job) => job.id}
        empty={<p class="empty">{session.seesAll ? "Nothing waits." : "None of your jobs waits."}</p>}
      />
      {all > rows.length && (
        <p class="small">
          <a href={href("queue")}>All {all.toLocaleString("en")} that wait</a>
        </p>
      )}
    </section>
  );
}
