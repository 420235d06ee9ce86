import { duration, percent, reason } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import type { Gpu } from "../../live_tables";
import { Bar } from "../../parts/bar";
import { Empty } from "../../parts/empty";
import { type Column, Table } from "../../parts/table";
import { href, useRoute } from "../../router";
import type { Session } from "../../session";
import type { BlockedRow, Contention } from "./shapes";

/** Columns of the matrix at most; the rest is one. */
const MOST = 8;
const OTHER = "anything else";

/** What kept whose jobs waiting: as a list, and who waited for what as a matrix. */
export function Blocked({ told, session }: { told: Contention; session: Session }) {
  const own = told.blocked.reduce((sum, row) => sum + row.job_ms, 0);
  const longest = told.blocked[0]?.job_ms ?? 0;
  const { query } = useRoute();
  const columns: Column<BlockedRow>[] = [
    ...(session.seesAll ? [whose(query)] : []),
    { key: "reason", title: "Waited for", value: (row) => words(row) },
    {
      key: "blocker",
      title: "In the way",
      value: (row) => row.blocker,
      show: (row) => <Blocker row={row} session={session} query={query} />,
    },
    {
      key: "time",
      title: "Time",
      hint: "Time that jobs waited, summed up over the jobs",
      value: (row) => row.job_ms,
      show: (row) => duration(row.job_ms / 1000),
      number: true,
    },
    {
      key: "share",
      title: "Share",
      value: (row) => row.job_ms,
      show: (row) => (
        <Bar
          total={longest}
          label={percent(row.job_ms, own)}
          parts={[{ label: "time", value: row.job_ms, tone: "warn" }]}
        />
      ),
      sortable: false,
      wide: true,
    },
  ];
  return (
    <section class="panel">
      <h2>{session.seesAll ? "What was blocked by what" : "What your jobs waited for"}</h2>
      <Table
        caption="What was blocked by what"
        columns={columns}
        rows={told.blocked}
        id={(row) => [row.user, row.reason, row.blocker_kind, row.blocker].join("/")}
        empty={<Empty title="No job waited in this time">Choose a longer one to see earlier waits.</Empty>}
      />
      {session.seesAll && told.blocked.length > 1 && <Matrix rows={told.blocked} />}
    </section>
  );
}

function whose(query: Record<string, string>): Column<BlockedRow> {
  return {
    key: "user",
    title: "Whose jobs",
    value: (row) => row.user,
    show: (row) =>
      row.user ? (
        <a href={href("users", [], { ...times(query), user: row.user })}>{row.user}</a>
      ) : (
        <span class="muted">(forgotten)</span>
      ),
  };
}

interface BlockerProps {
  row: BlockedRow;
  session: Session;
  query: Record<string, string>;
}

function Blocker({ row, session, query }: BlockerProps) {
  const { blocker_kind: kind, blocker } = row;
  const { gpus } = useLive();
  if (!blocker) return <span class="muted">nothing in particular</span>;
  if (kind === "gpu") {
    return <a href={href("gpus", [blocker], times(query))}>{gpuName(gpus, blocker)}</a>;
  }
  if (kind === "user" && session.seesAll) {
    return (
      <>
        a job of <a href={href("users", [], { ...times(query), user: blocker })}>{blocker}</a>
      </>
    );
  }
  return <>{kind === "user" ? (blocker === "others" ? "a job of somebody else" : "a job of your own") : `${kind} ${blocker}`}</>;
}

/** The same, users by what was in their way. */
function Matrix({ rows }: { rows: readonly BlockedRow[] }) {
  const { gpus } = useLive();
  const sums = new Map<string, Map<string, number>>();
  const totals = new Map<string, number>();
  for (const row of rows) {
    const name = columnOf(row, gpus);
    const of = sums.get(row.user) ?? new Map<string, number>();
    sums.set(row.user, of.set(name, (of.get(name) ?? 0) + row.job_ms));
    totals.set(name, (totals.get(name) ?? 0) + row.job_ms);
  }
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const names = ranked.slice(0, MOST);
  const rest = ranked.slice(MOST);
  const most = Math.max(...[...sums.values()].flatMap((of) => [...of.values()]));
  const cells = (of: Map<string, number>): [string, number][] => [
    ...names.map((name): [string, number] => [name, of.get(name) ?? 0]),
    ...(rest.length
      ? [[OTHER, rest.reduce((sum, name) => sum + (of.get(name) ?? 0), 0)] as [string, number]]
      : []),
  ];
  return (
    <div class="table-room" tabIndex={0} role="group" aria-label="Who waited for what">
      <table class="heat">
        <caption>Who waited for what</caption>
        <thead>
          <tr>
            <th scope="col">Whose jobs</th>
            {[...names, ...(rest.length ? [OTHER] : [])].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...sums].map(([user, of]) => (
            <tr key={user}>
              <th scope="row">{user || "(forgotten)"}</th>
              {cells(of).map(([name, ms]) => (
                <td key={name} class="number" style={shade(ms / most)}>
                  {ms ? duration(ms / 1000) : ""}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function columnOf(row: BlockedRow, gpus: readonly Gpu[]): string {
  if (!row.blocker) return words(row);
  if (row.blocker_kind === "gpu") return gpuName(gpus, row.blocker);
  return row.blocker_kind === "user" ? `job of ${row.blocker}` : row.blocker;
}

/** A cell's background: 0 to 1. */
export function shade(share: number): { background: string } | undefined {
  if (!(share > 0)) return undefined;
  const percents = Math.round(8 + 42 * Math.min(1, share));
  return { background: `color-mix(in srgb, var(--s2) ${percents}%, transparent)` };
}

function words(row: BlockedRow): string {
  return row.reason === "behind_own" ? "Earlier jobs of the same user" : reason(row.reason);
}

/** The part of a query that is a time. */
export function times(query: Record<string, string>): Record<string, string | undefined> {
  return { from: query.from, until: query.until, last: query.last };
}
