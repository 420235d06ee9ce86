import { useApi } from "../../api";
import { count } from "../../format";
import { useFresh } from "../../fresh";
import { useLive } from "../../live";
import { useLiveNow } from "../../live_now";
import type { PageProps } from "../../pages";
import { Dialog } from "../../parts/dialog";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Sort, Table } from "../../parts/table";
import { href, setQuery } from "../../router";
import { columnsOf } from "./columns";
import { Filters } from "./filters";
import { JobDialog } from "./job_dialog";
import type { QueueList } from "./shapes";

const ROWS = 100;
/** A long queue is asked for anew less often: its figures change all the time. */
const LONG = 1000;
const FRESH_MS = 2_000;
const FRESH_LONG_MS = 5_000;

export default function QueuePage({ route, session }: PageProps) {
  const { user, group, lane, reason, state, sort = "place" } = route.query;
  const start = Number(route.query.start) || 0;
  const view = useLive();
  const now = useLiveNow(view);
  const list = useApi<QueueList>("queue", { user, group, lane, reason, state, sort, start, rows: ROWS }, 15);
  const told = list.data;
  useFresh(view.nowMs, list.reload, (told?.jobs_seen ?? 0) > LONG ? FRESH_LONG_MS : FRESH_MS);
  const opened = told?.jobs.find((job) => job.id === route.args[0]);

  const sorted: Sort = { key: sort, down: sort !== "place" };
  return (
    <div class="page">
      <div class="page-head">
        <h1>Queue</h1>
        {told && (
          <span class="muted">
            {count(told.waiting, "job")} waiting, {told.running.toLocaleString("en")} running
            {!session.seesAll && `; yours: ${told.jobs_seen.toLocaleString("en")}`}
          </span>
        )}
      </div>
      {list.problem && <Problem message={list.problem.message} retry={list.reload} />}
      {told && <Filters told={told} query={route.query} session={session} />}
      {told && (
        <section class="panel" aria-busy={list.loading}>
          <Table
            caption="Jobs that run and wait, in the order in which they should start"
            columns={columnsOf(now, session)}
            rows={told.jobs}
            id={(job) => job.id}
            sort={sorted}
            onSort={(next) => setQuery({ sort: next.key === "place" ? null : next.key, start: null })}
            open={(job) => openJob(job.id)}
            empty={<Nothing told={told} />}
          />
          <Pager told={told} start={start} />
        </section>
      )}
      {told && !opened && route.args[0] && <Left id={route.args[0]} />}
      <JobDialog job={opened ?? null} now={now} session={session} onClose={closeJob} onDone={list.reload} />
    </div>
  );
}

// The query keeps its filters, so that the way back leads to the same list.
function openJob(id: string): void {
  location.hash = location.hash.replace(/^#\/queue[^?]*/, `#/queue/${encodeURIComponent(id)}`);
}

function closeJob(): void {
  location.hash = location.hash.replace(/^#\/queue[^?]*/, "#/queue");
}

/** The job of a link, or of a dialog that was open, has left the list. */
function Left({ id }: { id: string }) {
  return (
    <Dialog open title="This job is no longer in this list" onClose={closeJob}>
      <p>
        It has ended, or the list shows others: <a href={href("jobs", [id])}>its own page</a> tells how it went.
      </p>
    </Dialog>
  );
}

function Nothing({ told }: { told: QueueList }) {
  if (told.jobs_seen > 0) {
    return (
      <Empty title="No job is like that">
        <button type="button" onClick={clear}>
          Show all {told.jobs_seen.toLocaleString("en")}
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="Nothing waits and nothing runs">
      Point a ComfyUI client at <code>{location.origin}</code> and queue a prompt.
    </Empty>
  );
}

function clear(): void {
  setQuery({ user: null, group: null, lane: null, reason: null, state: null, start: null });
}

function Pager({ told, start }: { told: QueueList; start: number }) {
  if (told.matching <= ROWS) return null;
  const last = Math.min(told.matching, start + told.jobs.length);
  const to = (next: number): void => setQuery({ start: next || null });
  return (
    <div class="pager">
      <button type="button" disabled={start === 0} onClick={() => to(Math.max(0, start - ROWS))}>
        Earlier
      </button>
      <span class="muted" role="status">
        {(start + 1).toLocaleString("en")} to {last.toLocaleString("en")} of {told.matching.toLocaleString("en")}
      </span>
      <button type="button" disabled={last >= told.matching} onClick={() => to(start + ROWS)}>
        Later
      </button>
    </div>
  );
}
