import { bytes, duration, reason, shortId } from "../../format";
import { Chip } from "../../parts/chip";
import type { Column } from "../../parts/table";
import { href } from "../../router";
import type { Session } from "../../session";
import { soon } from "../../waits";
import type { QueuedJob } from "./shapes";

/** The columns of the list; times count on until `now`. */
export function columnsOf(now: number, session: Session): Column<QueuedJob>[] {
  return [
    {
      key: "place",
      title: "Place",
      hint: "How many start no later, of all and of one's own",
      value: (job) => job.place,
      show: (job) => <Place job={job} />,
    },
    {
      key: "job",
      title: "Job",
      sortable: false,
      value: (job) => job.id,
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
      title: "State, and why",
      sortable: false,
      value: (job) => job.wait_reason,
      show: (job) => <Why job={job} />,
    },
    {
      key: "start",
      title: "Starts in about",
      hint: "As likely as not; and in 9 of 10 cases",
      number: true,
      sortable: false,
      value: (job) => job.start_p50_ms,
      show: (job) => <Start job={job} now={now} />,
    },
    {
      key: "age",
      title: "Posted",
      number: true,
      wide: true,
      value: (job) => job.submitted_ms,
      show: (job) => `${duration((now - job.submitted_ms) / 1000)} ago`,
    },
    {
      key: "bytes",
      title: "Memory",
      hint: "Promised while it runs, else what it needs",
      number: true,
      wide: true,
      value: (job) => job.bytes,
      show: (job) => (job.bytes > 0 ? bytes(job.bytes) : "–"),
    },
    {
      key: "seconds",
      title: "Run time",
      hint: "Expected, with its models loaded",
      number: true,
      wide: true,
      value: (job) => job.need_seconds,
      show: (job) => (job.need_seconds > 0 ? duration(Math.max(1, job.need_seconds)) : "–"),
    },
  ];
}

function Place({ job }: { job: QueuedJob }) {
  if (job.state !== "QUEUED") return <Chip tone="good">runs</Chip>;
  if (job.held) return <Chip>held</Chip>;
  return (
    <>
      {job.place?.toLocaleString("en")}
      <span class="detail">own {job.own_place?.toLocaleString("en")}</span>
    </>
  );
}

function Why({ job }: { job: QueuedJob }) {
  if (job.state !== "QUEUED") {
    return (
      <>
        {job.state === "RUNNING" ? "Runs" : <Chip tone="warn">{job.state.toLowerCase()}</Chip>} on {job.worker}
        {job.attempt > 1 && <span class="detail">attempt {job.attempt}</span>}
        {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
      </>
    );
  }
  return (
    <>
      {reason(job.wait_reason)} {job.lane === "batch" && <Chip tone="info">batch</Chip>}
      {job.wait_detail && <span class="detail">{job.wait_detail}</span>}
      {job.blocker && <span class="detail">in its way: {job.blocker.name}</span>}
    </>
  );
}

function Start({ job, now }: { job: QueuedJob; now: number }) {
  if (job.state !== "QUEUED") return <span class="muted">for {duration((now - job.started_ms) / 1000)}</span>;
  return (
    <>
      {soon(job.start_p50_ms, now)}
      {job.start_p90_ms > 0 && (
        <span class="detail">9 of 10 within {duration((job.start_p90_ms - now) / 1000)}</span>
      )}
    </>
  );
}
