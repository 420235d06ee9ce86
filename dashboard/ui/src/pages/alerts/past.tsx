import { useApi } from "../../api";
import { useLive } from "../../live";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { Table } from "../../parts/table";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { go, setQuery } from "../../router";
import type { Session } from "../../session";
import { alertColumns } from "./columns";
import type { AlertsPast } from "./shapes";

const ROWS = 200;

interface Props {
  query: Record<string, string>;
  rules: readonly string[];
  now: number;
  session: Session;
}

/** Alerts that began within a time, whether or not they still fire. */
export function Past({ query, rules, now, session }: Props) {
  const span = useSpan("7d");
  const { gpus } = useLive();
  const start = Number(query.start) || 0;
  const past = useApi<AlertsPast>("alerts/past", { ...span.query, rule: query.rule, start, rows: ROWS });
  return (
    <section class="panel">
      <div class="filters">
        <TimeSpan preset="7d" />
        <select
          aria-label="Rule"
          value={query.rule ?? ""}
          onChange={(event) => setQuery({ rule: event.currentTarget.value || null, start: null })}
        >
          <option value="">All rules</option>
          {rules.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </div>
      {past.problem && <Problem message={past.problem.message} retry={past.reload} />}
      {past.data && (
        <Table
          caption="Alerts that began within this time, newest first"
          columns={alertColumns(now, session.seesAll, gpus)}
          rows={past.data.alerts}
          id={(alert) => alert.id}
          open={(alert) => go("alerts", [alert.id], query)}
          empty={<Empty title="Nothing fired within this time">Ask for a longer one.</Empty>}
        />
      )}
      {past.data && (start > 0 || past.data.more) && (
        <div class="pager">
          <button type="button" disabled={start === 0} onClick={() => setQuery({ start: start - ROWS || null })}>
            Newer
          </button>
          <button type="button" disabled={!past.data.more} onClick={() => setQuery({ start: start + ROWS })}>
            Older
          </button>
        </div>
      )}
    </section>
  );
}
