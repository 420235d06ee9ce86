import { bytes, count, gib, took, when } from "../../format";
import { Empty } from "../../parts/empty";
import { Xy } from "../../parts/xy";
import type { Learned } from "./types";

const GIB = 2 ** 30;

/** What runs have taught, and the curve of time over memory that plans choose from. */
export function LearnedCard({ learned }: { learned: Learned | null }) {
  return (
    <section class="panel" aria-labelledby="learned">
      <h2 id="learned">What was learned</h2>
      {learned ? (
        <>
          <Figures learned={learned} />
          <Curve learned={learned} />
        </>
      ) : (
        <Empty title="Nothing was learned of it yet">
          A run that ends well teaches what it needed; until then formulas say what to promise. What nobody has used
          for 90 days is forgotten.
        </Empty>
      )}
    </section>
  );
}

function Figures({ learned }: { learned: Learned }) {
  const rows: [string, string, string][] = [
    ["Runs", `${learned.runs.toLocaleString("en")}, the last ${when(learned.learned_ms)}`, "that ended well"],
    ["Memory promised", size(learned.need_bytes), "hardly any run takes more"],
    ["Memory usually taken", size(learned.usual_bytes), "half of the runs stay within"],
    ["Starts with no less than", size(learned.floor_bytes), "the smallest reservation that is offered"],
    ["Could not do without", size(learned.needed_bytes), "a probe's word"],
    ["Ran out of memory with", size(learned.too_small_bytes), "not offered again"],
    ["Run time, models loaded", learned.run_seconds ? took(learned.run_seconds) : "", "half of the runs"],
    ["Hardly ever longer than", learned.late_seconds ? took(learned.late_seconds) : "", "95 % of the runs"],
    ["Loading its models", learned.load_seconds ? took(learned.load_seconds) : "", "on an empty worker"],
  ];
  return (
    <table class="values">
      <tbody>
        {rows
          .filter(([, value]) => value)
          .map(([name, value, hint]) => (
            <tr key={name} title={hint}>
              <th scope="row">{name}</th>
              <td>
                {value} <span class="muted small">{hint}</span>
              </td>
            </tr>
          ))}
        {learned.whole_ooms > 0 && (
          <tr>
            <th scope="row">Out of memory alone</th>
            <td>{count(learned.whole_ooms, "time")} in a row on a whole GPU</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function Curve({ learned }: { learned: Learned }) {
  const { curve } = learned;
  if (curve.length < 2) {
    return <p class="muted small">There is no smaller reservation that it is known, or expected, to run in.</p>;
  }
  const points = curve.map((step) => ({
    x: step.bytes / GIB,
    y: step.seconds,
    hollow: !step.measured,
    title: `${gib(step.bytes)}: ${took(step.seconds)}, ${source(step.measured, step.runs)}`,
  }));
  return (
    <>
      <Xy
        label="Run time over reservation: with less memory it takes longer"
        x={{ title: "reservation, GiB", format: (value) => String(+value.toFixed(1)), zero: true }}
        y={{ title: "run time, s", format: took, zero: true }}
        points={points}
        lines={[{ label: "", points }]}
        height={200}
      />
      <details>
        <summary>The curve in figures</summary>
        <table class="table">
          <thead>
            <tr>
              <th scope="col" class="number">
                Reservation
              </th>
              <th scope="col" class="number">
                Run time
              </th>
              <th scope="col">Known from</th>
            </tr>
          </thead>
          <tbody>
            {curve.map((step) => (
              <tr key={step.bytes}>
                <td class="number">{gib(step.bytes)}</td>
                <td class="number">{took(step.seconds)}</td>
                <td>{source(step.measured, step.runs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
      <p class="muted small">Filled: runs have shown it. Hollow: formulas say so.</p>
    </>
  );
}

function source(measured: boolean, runs: number): string {
  if (measured) return count(runs, "run");
  return runs > 0 ? `formulas, and ${count(runs, "run")}` : "formulas";
}

function size(n: number): string {
  return n > 0 ? bytes(n) : "";
}
