import { duration, when } from "../../format";
import { type Column, Table } from "../../parts/table";
import { href } from "../../router";
import type { Contention, Peak } from "./shapes";

const HOUR_MS = 3_600_000;

/** The hours in which most waited. */
export function Peaks({ told }: { told: Contention }) {
  return (
    <section class="panel">
      <h2>Busiest hours</h2>
      <Table
        caption="Hours in which most jobs waited"
        columns={COLUMNS}
        rows={told.peaks}
        id={(one) => String(one.at_ms)}
        empty={<p class="empty">In no whole hour of this time did a job wait.</p>}
      />
    </section>
  );
}

const COLUMNS: readonly Column<Peak>[] = [
  {
    key: "at",
    title: "Hour from",
    value: (one) => one.at_ms,
    show: (one) => (
      <a
        href={href("contention", [], { from: one.at_ms, until: one.at_ms + HOUR_MS })}
        title="Look at this hour alone"
      >
        {when(one.at_ms).slice(0, -3)}
      </a>
    ),
  },
  { key: "queued", title: "Most waiting", value: (one) => one.most_queued, number: true },
  { key: "running", title: "Most running", value: (one) => one.most_running, number: true, wide: true },
  {
    key: "longest",
    title: "Longest wait",
    hint: "The longest that a job which still waited had waited",
    value: (one) => one.longest_wait_ms,
    show: (one) => duration(one.longest_wait_ms / 1000),
    number: true,
  },
  {
    key: "gpus",
    title: "GPUs then",
    value: () => null,
    show: (one) => (
      <a href={href("gpus", [], { from: one.at_ms, until: one.at_ms + HOUR_MS })}>GPUs of this hour</a>
    ),
    sortable: false,
    wide: true,
  },
];
