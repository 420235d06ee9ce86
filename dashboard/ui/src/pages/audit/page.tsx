import { useState } from "preact/hooks";
import { useApi, useSource } from "../../api";
import { shortId, when } from "../../format";
import type { PageProps } from "../../pages";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { href, setQuery } from "../../router";

interface Entry {
  id: string;
  at_ms: number;
  by: string;
  action: string;
  subject: string;
  user: string;
  detail: Record<string, unknown>;
}

interface AuditPageShape {
  entries: Entry[];
  next: string | null;
  keep_seconds: number | null;
}

const ACTIONS: [string, string][] = [
  ["", "Everything"],
  ["view", "Looked at"],
  ["export", "Taken away"],
  ["limit", "Settings changed"],
  ["maintenance", "Maintenance"],
  ["drain", "Drained"],
  ["undrain", "Back in service"],
  ["restart", "Restarted"],
  ["cancel", "Cancelled"],
  ["forget", "Forgotten"],
];
const WORDS = new Map(ACTIONS);

export default function AuditPage({ route }: PageProps) {
  const source = useSource();
  const span = useSpan("30d");
  const { action, by } = route.query;
  const wanted = { ...(span.moving ? { from: span.from } : span.query), action, by };
  // a place in one list is none in another
  const list = JSON.stringify(route.query);
  const [place, setPlace] = useState<{ list: string; before: string | null }>({ list, before: null });
  const before = place.list === list ? place.before : null;
  const setBefore = (next: string | null): void => setPlace({ list, before: next });
  const found = useApi<AuditPageShape>("audit", { ...wanted, before, rows: 100 });
  const told = found.data;
  return (
    <div class="page">
      <div class="page-head">
        <h1>Audit</h1>
        <label>
          Show{" "}
          <select value={action ?? ""} onChange={(event) => setQuery({ action: event.currentTarget.value })}>
            {ACTIONS.map(([name, words]) => (
              <option key={name} value={name}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {by && (
          <button type="button" class="quiet" onClick={() => setQuery({ by: null })}>
            by {by} ✕
          </button>
        )}
        <div class="push">
          <TimeSpan preset="30d" />
        </div>
      </div>
      <p class="muted">
        Who did and saw what. Looks at the same thing are one entry an hour.
        {told?.keep_seconds && ` Kept for ${Math.round(told.keep_seconds / 86_400)} days.`} Take it away as{" "}
        <a href={source.url("audit/export", { ...wanted, format: "csv" }) ?? "#"} download>
          CSV
        </a>{" "}
        or{" "}
        <a href={source.url("audit/export", { ...wanted, format: "json" }) ?? "#"} download>
          JSON
        </a>
        .
      </p>
      {found.problem && <Problem message={found.problem.message} retry={found.reload} />}
      {told && (
        <section class="panel" aria-busy={found.loading}>
          <Table
            caption="Entries, newest first"
            columns={COLUMNS}
            rows={told.entries}
            id={(one) => one.id}
            empty={
              <Empty title="Nothing was done or seen in this time">
                Choose a longer time, or show everything.
              </Empty>
            }
          />
          <div class="pager">
            {before && (
              <button type="button" class="quiet" onClick={() => setBefore(null)}>
                Newest
              </button>
            )}
            {told.next && (
              <button type="button" class="quiet" onClick={() => setBefore(told.next)}>
                Older
              </button>
            )}
          </div>
        </section>
      )}
    </div>
  );
}

const COLUMNS: Column<Entry>[] = [
  { key: "at", title: "When", value: (one) => one.at_ms, show: (one) => when(one.at_ms) },
  {
    key: "by",
    title: "Who",
    value: (one) => one.by,
    show: (one) => <a href={href("audit", [], { by: one.by })}>{one.by}</a>,
  },
  {
    key: "action",
    title: "Did",
    value: (one) => WORDS.get(one.action) ?? one.action.replaceAll("_", " "),
  },
  { key: "subject", title: "What", value: (one) => one.subject, show: Subject },
  { key: "user", title: "Whose", value: (one) => one.user || null },
  { key: "detail", title: "Details", value: details, wide: true, sortable: false },
];

function Subject(one: Entry) {
  const [kind, ...rest] = one.subject.split(":");
  const name = rest.join(":");
  if (kind === "job" && !name.startsWith("(")) return <a href={href("jobs", [name])}>job {shortId(name)}</a>;
  if (kind === "worker" || kind === "log") return <a href={href("workers", [name])}>{`${kind} ${name}`}</a>;
  return name ? `${kind} ${name}` : kind;
}

function details(one: Entry): string {
  return Object.entries(one.detail)
    .filter(([name]) => name !== "reset" && name !== "revision")
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${said(value)}`)
    .join(", ");
}

function said(value: unknown): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.map(said).join(" ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}
