import { useState } from "preact/hooks";
import { bytes, duration, shortId, took, when } from "../../format";
import { type Column, Table } from "../../parts/table";
import { go, href } from "../../router";
import { StateChip } from "../jobs/state_chip";
import type { JobLine } from "../jobs/types";
import type { WorkflowDetail } from "./types";

/** Of many runs the page of jobs has the rest. */
const SHOWN = 40;

/** Its newest runs; two of them can be put side by side. */
export function Runs({ data, seesAll }: { data: WorkflowDetail; seesAll: boolean }) {
  const [chosen, choose] = useState<readonly string[]>([]);
  const toggle = (id: string): void =>
    choose((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old.slice(-1), id]));
  const [a, b] = chosen;
  return (
    <section class="panel" aria-labelledby="runs">
      <div class="run-head">
        <h2 id="runs">Runs</h2>
        {data.runs.length > SHOWN && (
          <a href={href("jobs", [], { workflow: data.workflow.fingerprint, last: "30d" })}>all of them</a>
        )}
        <button
          type="button"
          class="main"
          disabled={!a || !b}
          onClick={() => a && b && go("jobs", [a], { with: b })}
        >
          Compare the two chosen
        </button>
      </div>
      <Table
        caption="Newest runs"
        columns={columns(seesAll, chosen, toggle)}
        rows={data.runs.slice(0, SHOWN)}
        id={(run) => run.id}
        open={(run) => go("jobs", [run.id])}
        tone={(run) => (run.state === "FAILED" ? "bad" : "")}
        empty={null}
      />
    </section>
  );
}

function columns(
  seesAll: boolean,
  chosen: readonly string[],
  toggle: (id: string) => void,
): Column<JobLine>[] {
  const user: Column<JobLine> = { key: "user", title: "User", value: (run) => run.user };
  return [
    {
      key: "choose",
      title: "Compare",
      sortable: false,
      value: () => null,
      show: (run) => (
        <input
          type="checkbox"
          aria-label={`Compare the run of ${when(run.ended_ms)}`}
          checked={chosen.includes(run.id)}
          onChange={() => toggle(run.id)}
        />
      ),
    },
    {
      key: "ended",
      title: "Ended",
      value: (run) => run.ended_ms,
      show: (run) => (
        <>
          <a href={href("jobs", [run.id])}>{when(run.ended_ms)}</a>
          <span class="detail mono">{shortId(run.id)}</span>
        </>
      ),
    },
    ...(seesAll ? [user] : []),
    {
      key: "state",
      title: "State",
      value: (run) => run.state,
      show: (run) => <StateChip code={run.state} reason={run.reason} />,
    },
    {
      key: "ran",
      title: "Ran",
      number: true,
      value: (run) => run.run_seconds || null,
      show: (run) => (run.run_seconds ? took(run.run_seconds) : "–"),
    },
    {
      key: "waited",
      title: "Waited",
      number: true,
      wide: true,
      value: (run) => run.wait_seconds,
      show: (run) => (run.wait_seconds === null ? "–" : duration(run.wait_seconds)),
    },
    {
      key: "peak",
      title: "Peak of promised",
      number: true,
      wide: true,
      value: (run) => run.peak_bytes || null,
      show: (run) => (
        <>
          {run.peak_bytes ? bytes(run.peak_bytes) : "–"}
          <span class="detail">of {bytes(run.reserved_bytes)}</span>
        </>
      ),
    },
  ];
}
