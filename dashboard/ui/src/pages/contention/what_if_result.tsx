import { count, when } from "../../format";
import { Plot, type Series } from "../../parts/plot";
import { type Column, Table } from "../../parts/table";
import type { Side, Waits, WhatIf } from "./shapes";
import { beyondError, difference, seconds } from "./what_if_words";

const HOUR_MS = 3_600_000;
type Result = NonNullable<WhatIf["result"]>;

interface Row {
  id: string;
  name: string;
  recorded: Waits;
  again: Waits | undefined;
  changed: Waits | undefined;
}

/** What was, what the model makes of it, and what the change makes of that. */
export function WhatIfResult({ one, result }: { one: WhatIf; result: Result }) {
  const { recorded, again, changed } = result;
  const sure = beyondError(recorded.all, again.all, changed.all);
  return (
    <div class="stack">
      <p>
        {count(result.jobs, "job")} from {when(one.from_ms)} to{" "}
        {when(result.cut ? result.until_ms : one.until_ms)}
        {result.cut && " (the first ones; later jobs were too many to play)"} waited{" "}
        <strong>{seconds(recorded.all.mean_s)}</strong> in the mean. Played again with nothing changed it
        is <strong>{seconds(again.all.mean_s)}</strong>: {difference(recorded.all.mean_s, again.all.mean_s)}{" "}
        is what the model gets wrong. With the change it is{" "}
        <strong>{seconds(changed.all.mean_s)}</strong>:{" "}
        <strong>{difference(again.all.mean_s, changed.all.mean_s)}</strong> is what the change makes.
      </p>
      {!sure && (
        <p class="problem">
          The change makes no more difference than the model gets wrong by itself: do not build on it.
        </p>
      )}
      {changed.failed > again.failed && (
        <p class="problem">{count(changed.failed - again.failed, "job")} more would have failed.</p>
      )}
      <Table caption="Waits as recorded, played again, and with the change" columns={COLUMNS} rows={rows(result)} id={(row) => row.id} empty="" />
      <Hours result={result} />
      <p class="muted small">
        Not in the model: runs that are slower beside others or in less memory, jobs that were cancelled before they ran, models that were loaded when the time began. GPUs found their
        models loaded {share(again.warm_hit)} of the times, {share(changed.warm_hit)} with the change;
        workers were busy {share(again.busy_share)} of the time, {share(changed.busy_share)} with it.
      </p>
    </div>
  );
}

function share(value: number | undefined): string {
  return value === undefined ? "–" : `${Math.round(100 * value)} %`;
}

function rows({ recorded, again, changed }: Result): Row[] {
  const part = (kind: "lanes" | "groups" | "users", word: string): Row[] =>
    Object.entries(recorded[kind]).map(([name, waits]) => ({
      id: `${kind}/${name}`,
      name: `${word}${name || "(forgotten)"}`,
      recorded: waits,
      again: again[kind][name],
      changed: changed[kind][name],
    }));
  const all = { id: "all", name: "All jobs", recorded: recorded.all, again: again.all, changed: changed.all };
  return [all, ...part("lanes", "Lane "), ...part("groups", "Group "), ...part("users", "")];
}

const COLUMNS: readonly Column<Row>[] = [
  { key: "name", title: "Whose", value: (row) => row.name },
  { key: "jobs", title: "Jobs", value: (row) => row.recorded.jobs, number: true, wide: true },
  {
    key: "recorded",
    title: "Recorded",
    hint: "Mean wait, and the wait that 95 % did not exceed",
    value: (row) => row.recorded.mean_s,
    show: (row) => both(row.recorded),
    number: true,
  },
  {
    key: "again",
    title: "Played again",
    hint: "With nothing changed: the difference to what was recorded is the model's error",
    value: (row) => row.again?.mean_s ?? null,
    show: (row) => both(row.again),
    number: true,
  },
  {
    key: "changed",
    title: "With the change",
    value: (row) => row.changed?.mean_s ?? null,
    show: (row) => both(row.changed),
    number: true,
  },
  {
    key: "difference",
    title: "The change makes",
    hint: "Mean wait, against the one played again",
    value: (row) => (row.again && row.changed ? row.changed.mean_s - row.again.mean_s : null),
    show: (row) => (row.again && row.changed ? difference(row.again.mean_s, row.changed.mean_s) : "–"),
    number: true,
    wide: true,
  },
];

function both(waits: Waits | undefined) {
  if (!waits) return "–";
  return (
    <>
      {seconds(waits.mean_s)}
      <span class="detail">p95 {seconds(waits.p95_s)}</span>
    </>
  );
}

/** Mean wait by the hour in which jobs were sent. */
function Hours({ result }: { result: Result }) {
  const hours = Object.keys(result.recorded.hours).map(Number).sort((a, b) => a - b);
  const last = hours[hours.length - 1];
  if (hours.length < 2 || last === undefined) return null;
  // a step reaches to the next moment: the last hour has an end, too
  const at = [...hours, last + HOUR_MS];
  const values = (side: Side): (number | null)[] =>
    [...hours, last].map((hour) => side.hours[hour]?.mean_s ?? null);
  const series: Series[] = [
    { label: "recorded", colour: "--s8", values: values(result.recorded), stepped: true },
    { label: "played again", colour: "--s1", values: values(result.again), stepped: true, dashed: true },
    { label: "with the change", colour: "--s2", values: values(result.changed), stepped: true },
  ];
  return (
    <Plot
      label="Mean wait of the jobs sent in each hour, seconds"
      at={at}
      series={series}
      unit="s"
      format={seconds}
    />
  );
}
