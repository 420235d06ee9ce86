import type { ComponentChildren } from "preact";
import { energy, gpuTime, percent } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import { Bar } from "../../parts/bar";
import { type Column, Table } from "../../parts/table";
import { href, useRoute } from "../../router";
import type { Session } from "../../session";
import { gibHours, waited } from "./figures";
import { BY, type By, type Usage, type UsageRow } from "./shapes";

const SORT = { key: "gpu", down: true };

/** Who used what; names lead to what they are. */
export function UsageTable({ told, by, session }: { told: Usage; by: By; session: Session }) {
  const title = BY.find(([name]) => name === by)?.[1] ?? "";
  const more = told.count - told.rows.length;
  const { query } = useRoute();
  const columns: Column<UsageRow>[] = [
    {
      key: "name",
      title,
      value: (row) => row.title || row.name,
      show: (row) => <Name row={row} by={by} session={session} query={query} />,
    },
    {
      key: "gpu",
      title: "GPU time",
      hint: "Wall time divided by the jobs that ran on the GPU at that moment",
      value: (row) => row.gpu_us,
      show: (row) => gpuTime(row.gpu_us),
      number: true,
    },
    {
      key: "share",
      title: "Share",
      value: (row) => row.gpu_us,
      show: (row) => <Share part={row.gpu_us} whole={told.total.gpu_us} />,
      sortable: false,
      wide: true,
    },
    {
      key: "memory",
      title: "GiB hours",
      hint: "Reserved memory × time",
      value: (row) => row.byte_ms,
      show: (row) => gibHours(row.byte_ms),
      number: true,
      wide: true,
    },
    {
      key: "energy",
      title: "Energy",
      hint: "What the cards drew while these jobs ran on them",
      value: (row) => row.energy_mj,
      show: (row) => energy(row.energy_mj),
      number: true,
      wide: true,
    },
    { key: "jobs", title: "Jobs", value: (row) => row.jobs, number: true },
    {
      key: "failed",
      title: "Failed",
      value: (row) => row.failed,
      show: (row) => (row.failed ? `${row.failed} (${percent(row.failed, row.jobs)})` : "0"),
      number: true,
      wide: true,
    },
    {
      key: "p50",
      title: "Wait p50",
      hint: "Half of the jobs waited no longer until the admission that ended them",
      value: (row) => row.wait_p50_ms,
      show: (row) => waited(row.wait_p50_ms),
      number: true,
      wide: true,
    },
    {
      key: "p95",
      title: "Wait p95",
      hint: "95 % of the jobs waited no longer",
      value: (row) => row.wait_p95_ms,
      show: (row) => waited(row.wait_p95_ms),
      number: true,
    },
  ];
  return (
    <>
      <Table
        caption={`Usage by ${title.toLowerCase()}`}
        columns={columns}
        rows={told.rows}
        id={(row) => row.name}
        sort={SORT}
        empty=""
      />
      {more > 0 && (
        <p class="muted">
          {more.toLocaleString("en")} more with less GPU time; the files below have all of them.
        </p>
      )}
    </>
  );
}

interface NameProps {
  row: UsageRow;
  by: By;
  session: Session;
  query: Record<string, string>;
}

function Name({ row, by, session, query }: NameProps): ComponentChildren {
  const { gpus } = useLive();
  const title = row.title || row.name || "(none)";
  if (!row.name) return <span class="muted">{title}</span>;
  if (by === "user" && session.seesAll) {
    return <a href={href("users", [], { ...query, user: row.name, by: "workflow" })}>{title}</a>;
  }
  if (by === "workflow") return <a href={href("workflows", [row.name])}>{title}</a>;
  if (by === "gpu") return <a href={href("gpus", [row.name])}>{gpuName(gpus, row.name)}</a>;
  return <span title={row.name}>{title}</span>;
}

function Share({ part, whole }: { part: number; whole: number }) {
  return (
    <Bar
      total={whole}
      label={percent(part, whole)}
      parts={[{ label: "share", value: part, tone: "reserved" }]}
    />
  );
}
