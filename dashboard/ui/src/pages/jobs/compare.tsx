import { useApi } from "../../api";
import { bytes, took, when } from "../../format";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import { go, href } from "../../router";
import { shape } from "./node_panel";
import { StateChip } from "./state_chip";
import type { ComparedNode, Comparison, JobLine } from "./types";
import { fellBack } from "./words";

/** Differences below this are nobody's concern, s. */
const LEAST = 0.05;

/** Two jobs side by side: where one lost time, and what was different. */
export function Compare({ id, other }: { id: string; other: string }) {
  const path = `jobs/${encodeURIComponent(id)}/compare`;
  const { data, problem, reload } = useApi<Comparison>(path, { with: other });
  if (!data) {
    return (
      <div class="page">
        <h1>Two runs side by side</h1>
        {problem ? <Problem message={problem.message} retry={reload} /> : <p role="status">Loading…</p>}
        <p>
          <a href={href("jobs", [id])}>Back to the job</a>
        </p>
      </div>
    );
  }
  return (
    <div class="page">
      <p class="muted small">
        <a href={href("jobs")}>Jobs</a> / <a href={href("jobs", [id])}>{when(data.a.ended_ms)}</a> / compared
      </p>
      <h1>Two runs side by side</h1>
      <p class="verdict">{verdict(data)}</p>
      <Sides data={data} />
      <Parts data={data} />
      <Nodes data={data} />
    </div>
  );
}

/** The difference in a sentence or two. */
function verdict({ parts, nodes }: Comparison): string {
  const lost = parts.reduce((sum, part) => sum + part.lost_seconds, 0);
  if (Math.abs(lost) < LEAST) return "A and B took the same time.";
  const sign = Math.sign(lost);
  const worst = [...parts].sort((a, b) => sign * (b.lost_seconds - a.lost_seconds))[0];
  const node = [...nodes].sort((a, b) => sign * (b.lost_seconds - a.lost_seconds))[0];
  const head = `A took ${took(Math.abs(lost))} ${lost > 0 ? "longer" : "less"} than B, waiting included.`;
  const part = worst ? ` Most of it: ${PARTS[worst.what] ?? worst.what} (${signed(worst.lost_seconds)}).` : "";
  if (!node || Math.abs(node.lost_seconds) < LEAST || sign !== Math.sign(node.lost_seconds)) return head + part;
  const fell = sign > 0 ? node.fallback_a : node.fallback_b;
  const tail = fell ? `, because it ${fellBack(fell)}` : "";
  return `${head}${part} The node that differs most is ${node.class_type} (${signed(node.lost_seconds)})${tail}.`;
}

const PARTS: Record<string, string> = {
  waiting: "waiting",
  loading: "loading models",
  nodes: "nodes without loading",
  between: "between nodes",
};

function Sides({ data }: { data: Comparison }) {
  const rows: [string, (job: JobLine) => string][] = [
    ["Workflow", (job) => job.workflow.name],
    ["Ended", (job) => when(job.ended_ms)],
    ["Worker", (job) => job.worker || "–"],
    ["Tries", (job) => String(job.attempts)],
    ["Promised", (job) => (job.reserved_bytes ? bytes(job.reserved_bytes) : "–")],
    ["Peak memory", (job) => (job.peak_bytes ? bytes(job.peak_bytes) : "–")],
  ];
  return (
    <section class="panel table-room">
      <table class="table sides">
        <caption class="hidden">The two jobs</caption>
        <thead>
          <tr>
            <td />
            {(["a", "b"] as const).map((side) => (
              <th key={side} scope="col">
                <a href={href("jobs", [data[side].id])}>{side.toUpperCase()}</a>{" "}
                <StateChip code={data[side].state} reason={data[side].reason} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, show]) => (
            <tr key={name} class={show(data.a) === show(data.b) ? "" : "differs"}>
              <th scope="row">{name}</th>
              <td>{show(data.a)}</td>
              <td>{show(data.b)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Parts({ data }: { data: Comparison }) {
  const longest = data.parts.reduce((most, part) => Math.max(most, part.seconds_a, part.seconds_b), 0);
  return (
    <section class="panel">
      <Table
        caption="Where the time went"
        captioned
        rows={data.parts}
        id={(part) => part.what}
        empty={null}
        columns={[
          { key: "what", title: "Part", value: (part) => PARTS[part.what] ?? part.what },
          {
            key: "a",
            title: "A",
            value: (part) => part.seconds_a,
            show: (part) => <Pair seconds={part.seconds_a} longest={longest} tone="s1" />,
          },
          {
            key: "b",
            title: "B",
            value: (part) => part.seconds_b,
            show: (part) => <Pair seconds={part.seconds_b} longest={longest} tone="s2" />,
          },
          {
            key: "lost",
            title: "A − B",
            number: true,
            value: (part) => part.lost_seconds,
            show: (part) => signed(part.lost_seconds),
          },
        ]}
      />
    </section>
  );
}

function Pair({ seconds, longest, tone }: { seconds: number | null; longest: number; tone: string }) {
  if (seconds === null) return <span class="muted">–</span>;
  return (
    <span class="pair">
      <span class="bar-line" aria-hidden="true">
        <span class={`fill ${tone}`} style={{ width: `${longest > 0 ? (100 * seconds) / longest : 0}%` }} />
      </span>
      <span class="small">{seconds > 0 ? took(seconds) : "0 s"}</span>
    </span>
  );
}

function Nodes({ data }: { data: Comparison }) {
  const longest = data.nodes.reduce((most, row) => Math.max(most, row.seconds_a ?? 0, row.seconds_b ?? 0), 0);
  const columns: Column<ComparedNode>[] = [
    {
      key: "class",
      title: "Node",
      value: (row) => row.class_type,
      show: (row) => (
        <>
          {row.class_type}
          <span class="detail">{numbers(row)}</span>
        </>
      ),
    },
    ...(["a", "b"] as const).map((side): Column<ComparedNode> => {
      const job = data[side];
      return {
        key: side,
        title: side.toUpperCase(),
        value: (row) => row[`seconds_${side}`],
        show: (row) => {
          const node = row[`node_${side}`];
          const fell = row[`fallback_${side}`];
          return (
            <>
              <Pair seconds={row[`seconds_${side}`]} longest={longest} tone={side === "a" ? "s1" : "s2"} />
              {node && (
                <span class="detail">
                  <a href={href("jobs", [job.id], { node })}>{row[`state_${side}`]}</a>
                  {row[`load_${side}`] > 0 && `, loading ${took(row[`load_${side}`])}`}
                  {fell && `, ${fellBack(fell)}`}
                </span>
              )}
            </>
          );
        },
      };
    }),
    {
      key: "lost",
      title: "A − B",
      number: true,
      value: (row) => row.lost_seconds,
      show: (row) => signed(row.lost_seconds),
    },
    {
      key: "changed",
      title: "What was different",
      sortable: false,
      wide: true,
      value: (row) => row.changed.length,
      show: (row) => <Differences row={row} />,
    },
  ];
  return (
    <section class="panel">
      <Table
        caption="Nodes, what lost most time first"
        captioned
        rows={data.nodes}
        id={(row) => `${row.class_type} ${row.node_a} ${row.node_b}`}
        columns={columns}
        tone={(row) => (row.lost_seconds > 1 ? "bad" : "")}
        open={(row) => row.node_a && go("jobs", [data.a.id], { node: row.node_a })}
        empty={
          <Empty title="No probe told of their nodes">
            Nodes are kept for 90 days (history.keep_nodes), from workers with a probe.
          </Empty>
        }
      />
    </section>
  );
}

function numbers({ node_a: a, node_b: b }: ComparedNode): string {
  if (a === b) return `node ${a}`;
  return `node ${a ?? "–"} in A, ${b ?? "–"} in B`;
}

function Differences({ row }: { row: ComparedNode }) {
  const parts = row.changed.map(({ name, a, b }) => `${name}: ${shape(a)} → ${shape(b)}`);
  if (row.peak_a && row.peak_b && Math.abs(row.peak_a - row.peak_b) > 0.05 * row.peak_b) {
    parts.push(`peak ${bytes(row.peak_a)} → ${bytes(row.peak_b)}`);
  }
  if (parts.length === 0) return <span class="muted">–</span>;
  return (
    <ul class="small plain">
      {parts.map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  );
}

function signed(seconds: number): string {
  if (Math.abs(seconds) < 0.0005) return "0 s";
  return `${seconds > 0 ? "+" : "−"}${took(Math.abs(seconds))}`;
}
