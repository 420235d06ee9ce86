import "./users.css";
import { useApi } from "../../api";
import { count, energy, gpuTime } from "../../format";
import type { PageProps } from "../../pages";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { setQuery } from "../../router";
import type { Session } from "../../session";
import { BudgetList } from "./budgets";
import { Days } from "./days";
import { Files } from "./files";
import { gibHours, waited } from "./figures";
import { BY, type By, type Usage } from "./shapes";
import { UsageTable } from "./usage_table";

const ROWS = 200;

export default function UsersPage({ route, session }: PageProps) {
  const span = useSpan("24h");
  const user = session.seesAll ? route.query.user : undefined;
  const first = session.seesAll && !user ? "user" : "workflow";
  const by = BY.find(([name]) => name === route.query.by)?.[0] ?? first;
  const query = { ...span.query, by, user };
  const usage = useApi<Usage>("users/usage", { ...query, rows: ROWS }, 60);
  const told = usage.data;
  return (
    <div class="page">
      <div class="page-head">
        <h1>{session.seesAll ? "Users" : "Your usage"}</h1>
        {user && (
          <Chip>
            {user}{" "}
            <button type="button" class="quiet usage-drop" onClick={() => setQuery({ user: null, by: null })}>
              show everybody
            </button>
          </Chip>
        )}
        <label>
          By{" "}
          <select aria-label="Usage by" value={by} onChange={(event) => setQuery({ by: event.currentTarget.value })}>
            {BY.map(([name, title]) => (
              <option key={name} value={name}>
                {title.toLowerCase()}
              </option>
            ))}
          </select>
        </label>
        <div class="push">
          <TimeSpan />
        </div>
      </div>
      {usage.problem && <Problem message={usage.problem.message} retry={usage.reload} />}
      {told && <Totals told={told} session={session} />}
      {told && <Told told={told} by={by} query={query} session={session} busy={usage.loading} />}
      <BudgetList session={session} />
      <Files query={query} />
    </div>
  );
}

interface ToldProps {
  told: Usage;
  by: By;
  query: { from: number; until: number; by: By; user: string | undefined };
  session: Session;
  busy: boolean;
}

function Told({ told, by, query, session, busy }: ToldProps) {
  if (told.rows.length === 0) {
    return (
      <Empty title="Nothing ran in this time">
        Choose a longer one. Usage is added up each minute by <code>vramgate jobs</code>.
      </Empty>
    );
  }
  return (
    <>
      <section class="panel" aria-busy={busy}>
        <UsageTable told={told} by={by} session={session} />
      </section>
      <Days query={query} by={by} />
    </>
  );
}

function Totals({ told, session }: { told: Usage; session: Session }) {
  const { total, everybody } = told;
  const parts: [string, string, string?][] = [
    ["GPU time", gpuTime(total.gpu_us)],
    ["Memory × time", gibHours(total.byte_ms)],
    ["Energy", energy(total.energy_mj)],
    ["Jobs", total.jobs.toLocaleString("en"), total.failed ? `${total.failed} failed` : ""],
    ["Wait of half of them", waited(total.wait_p50_ms)],
    ["Wait of 95 % of them", waited(total.wait_p95_ms)],
  ];
  return (
    <>
      <dl class="totals">
        {parts.map(([name, value, note]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              {note && <span class="note">{note}</span>}
            </dd>
          </div>
        ))}
      </dl>
      {!session.seesAll && (
        <p class="muted">
          Everybody together: {gpuTime(everybody.gpu_us)} in {count(everybody.jobs, "job")}.
        </p>
      )}
    </>
  );
}
