import { useEffect, useState } from "preact/hooks";
import { useApi, useSource } from "../../api";
import { bytes, duration, reason, shortId, took, when } from "../../format";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { go, href, type QueryChange, setQuery, useRoute } from "../../router";
import type { Session } from "../../session";
import { StateChip } from "./state_chip";
import type { JobLine, JobList } from "./types";
import { ended } from "./words";

const STATES: [string, string][] = [
  ["", "All states"],
  ["SUCCEEDED", "Done"],
  ["FAILED", "Failed"],
  ["CANCELLED", "Cancelled"],
  ["QUEUED", "Waiting"],
  ["RESERVED,RUNNING,CANCELLING", "Running"],
];
const ROWS = 100;
/** Unfinished jobs change by themselves. */
const AGAIN_S = 5;

export function List({ session }: { session: Session }) {
  const { query } = useRoute();
  const span = useSpan("7d");
  // The end of a moving span is now: without it the list has what has not ended, too.
  const time = span.moving ? { from: span.from } : span.query;
  const asked = { ...time, state: query.state, workflow: query.workflow, user: query.user, rows: ROWS };
  const first = useApi<JobList>("jobs", asked, span.moving ? AGAIN_S : 0);
  const older = useOlder(asked, first.data?.next ?? null, first.data?.jobs ?? []);
  const lines = first.data
    ? unique([...first.data.unfinished, ...first.data.jobs, ...older.lines])
    : [];
  return (
    <div class="page">
      <h1>Jobs</h1>
      <Filters session={session} workflow={lines[0]?.workflow.name ?? ""} />
      {first.problem && <Problem message={first.problem.message} retry={first.reload} />}
      {older.problem && <Problem message={older.problem} retry={older.more} />}
      {first.data && (
        <section class="panel">
          <Table
            caption="Jobs, newest first"
            columns={columns(session.seesAll)}
            rows={lines}
            id={(job) => job.id}
            open={(job) => go("jobs", [job.id])}
            tone={(job) => (job.state === "FAILED" ? "bad" : "")}
            empty={<Nothing filtered={!!(query.state || query.workflow || query.user)} />}
          />
          {older.next && (
            <button type="button" onClick={older.more} disabled={older.loading}>
              {older.loading ? "Loading…" : "Show older jobs"}
            </button>
          )}
        </section>
      )}
    </div>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No job matches">Choose a longer time or other filters above.</Empty>
  ) : (
    <Empty title="No jobs in this time">
      Choose a longer time above, or point a ComfyUI client at <code>{location.origin}</code> and queue a prompt.
    </Empty>
  );
}

function Filters({ session, workflow }: { session: Session; workflow: string }) {
  const { query } = useRoute();
  const [user, setUser] = useState(query.user ?? "");
  return (
    <form
      class="filters"
      aria-label="Filters"
      onSubmit={(event) => {
        event.preventDefault();
        setQuery({ user: user.trim() });
      }}
    >
      <TimeSpan preset="7d" />
      <select aria-label="State" value={query.state ?? ""} onChange={(e) => setQuery({ state: e.currentTarget.value })}>
        {STATES.map(([code, word]) => (
          <option key={code} value={code}>
            {word}
          </option>
        ))}
      </select>
      {session.seesAll && (
        <input
          aria-label="User"
          placeholder="User"
          value={user}
          onInput={(e) => setUser(e.currentTarget.value)}
          onBlur={() => setQuery({ user: user.trim() })}
        />
      )}
      {query.workflow && (
        <button type="button" onClick={() => setQuery({ workflow: null })} title="Show all workflows">
          {workflow || shortId(query.workflow)} <span aria-hidden="true">✕</span>
          <span class="hidden">, all workflows instead</span>
        </button>
      )}
    </form>
  );
}

function columns(seesAll: boolean): Column<JobLine>[] {
  const user: Column<JobLine> = { key: "user", title: "User", wide: true, value: (job) => job.user };
  return [
    {
      key: "at",
      title: "Job",
      value: (job) => job.ended_ms || job.submitted_ms,
      show: (job) => (
        <>
          <a href={href("jobs", [job.id])}>{job.workflow.name || "no workflow"}</a>
          <span class="detail">
            {ended(job.state) ? when(job.ended_ms) : `since ${when(job.started_ms || job.submitted_ms)}`}{" "}
            · <span class="mono">{shortId(job.id)}</span>
            {seesAll && <span class="narrow"> · {job.user}</span>}
          </span>
        </>
      ),
    },
    ...(seesAll ? [user] : []),
    {
      key: "state",
      title: "State",
      value: (job) => job.state,
      show: (job) => (
        <>
          <StateChip code={job.state} reason={job.reason} />
          {job.state === "QUEUED" && <span class="detail">{reason(job.reason)}</span>}
          {job.attempts > 1 && <Chip tone="warn">{job.attempts} tries</Chip>}
          {job.ooms > 0 && <Chip tone="warn">ran out of memory</Chip>}
        </>
      ),
    },
    {
      key: "waited",
      title: "Waited",
      number: true,
      wide: true,
      value: (job) => job.wait_seconds,
      show: (job) => (job.wait_seconds === null ? "–" : duration(job.wait_seconds)),
    },
    {
      key: "ran",
      title: "Ran",
      number: true,
      value: (job) => job.run_seconds || null,
      show: (job) => (job.run_seconds ? took(job.run_seconds) : "–"),
    },
    {
      key: "peak",
      title: "Peak memory",
      hint: "Most that its worker took of the card, of what it was promised",
      number: true,
      wide: true,
      value: (job) => job.peak_bytes || null,
      show: (job) => (
        <>
          {job.peak_bytes ? bytes(job.peak_bytes) : "–"}
          {job.reserved_bytes > 0 && <span class="detail">of {bytes(job.reserved_bytes)}</span>}
        </>
      ),
    },
    { key: "worker", title: "Worker", wide: true, value: (job) => job.worker || null },
  ];
}

/** Further pages, asked for one by one; forgotten when the filters change. */
function useOlder(asked: QueryChange, first: string | null, seen: readonly JobLine[]) {
  const source = useSource();
  const key = JSON.stringify({ ...asked, from: 0 });
  const [state, set] = useState<{ key: string; lines: JobLine[]; next: string | null }>({
    key: "",
    lines: [],
    next: null,
  });
  const [loading, setLoading] = useState(false);
  const [problem, fail] = useState("");
  useEffect(() => fail(""), [key]);
  const mine = state.key === key;
  const next = mine ? state.next : first;
  const more = (): void => {
    if (!next) return;
    setLoading(true);
    fail("");
    void source.get<JobList>("jobs", { ...asked, before: next }).then((answer) => {
      setLoading(false);
      if (!answer.ok) return fail(answer.problem.message);
      // with those of the first page: it moves on, and would leave a hole
      set({ key, lines: [...(mine ? state.lines : seen), ...answer.data.jobs], next: answer.data.next });
    });
  };
  return { lines: mine ? state.lines : [], next, more, loading, problem };
}

/** Each once, as it was told first: that is newest. */
function unique(lines: readonly JobLine[]): JobLine[] {
  const known = new Map<string, JobLine>();
  for (const job of lines) if (!known.has(job.id)) known.set(job.id, job);
  return [...known.values()];
}
