import { gib, percent, took } from "../../format";
import { Empty } from "../../parts/empty";
import { Xy, type XyPoint } from "../../parts/xy";
import { go } from "../../router";
import type { JobLine } from "../jobs/types";
import type { Errors, WorkflowDetail } from "./types";

const GIB = 2 ** 30;

/** Promises against what came of them, in memory and in time. */
export function Estimates({ data }: { data: WorkflowDetail }) {
  const runs = data.runs.filter(comfortable);
  return (
    <section class="panel" aria-labelledby="estimates">
      <h2 id="estimates">Estimate against truth</h2>
      {runs.length === 0 ? (
        <Empty title="Nothing to compare yet">
          Runs that ended well, with all the memory that they were said to need, are compared here.
        </Empty>
      ) : (
        <div class="panels">
          <Against
            title="Memory"
            errors={data.byte_errors}
            missed="needed more than they were promised"
            runs={runs.filter((run) => run.peak_bytes > 0 && run.need_bytes > 0)}
            promised={(run) => run.need_bytes / GIB}
            real={(run) => run.peak_bytes / GIB}
            unit="GiB"
            format={(value) => gib(value * GIB)}
          />
          <Against
            title="Run time"
            errors={data.second_errors}
            missed="took longer than expected"
            runs={runs.filter((run) => run.run_seconds > 0 && run.need_seconds > 0)}
            promised={(run) => run.need_seconds}
            real={(run) => run.run_seconds}
            unit="s"
            format={took}
          />
        </div>
      )}
    </section>
  );
}

/** With less than it needs a job takes longer: that is no mistake of the estimate's. */
function comfortable(run: JobLine): boolean {
  return run.state === "SUCCEEDED" && !(run.reserved_bytes > 0 && run.reserved_bytes < run.need_bytes);
}

interface AgainstProps {
  title: string;
  errors: Errors;
  missed: string;
  runs: readonly JobLine[];
  promised: (run: JobLine) => number;
  real: (run: JobLine) => number;
  unit: string;
  format: (value: number) => string;
}

function Against({ title, errors, missed, runs, promised, real, unit, format }: AgainstProps) {
  if (errors.runs === 0) return <p class="empty">{title}: nothing was measured.</p>;
  const points: XyPoint[] = runs.map((run) => ({
    x: promised(run),
    y: real(run),
    tone: real(run) > promised(run) ? "bad" : "plain",
    title: `${format(promised(run))} expected, ${format(real(run))} measured`,
  }));
  const all = points.flatMap((point) => [point.x, point.y]);
  const diagonal = [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), 0)];
  return (
    <div>
      <h3>{title}</h3>
      <p>
        Half of {errors.runs.toLocaleString("en")} runs were within {share(errors.median)}.{" "}
        <strong>{percent(errors.under, errors.runs)}</strong> {missed}.
      </p>
      <Xy
        label={`${title}: what was expected against what was measured; ${errors.under} of ${errors.runs} ${missed}`}
        x={{ title: `expected, ${unit}`, format: (value) => String(+value.toFixed(2)) }}
        y={{ title: `measured, ${unit}`, format: (value) => String(+value.toFixed(2)) }}
        points={points}
        lines={[{ label: "as expected", dashed: true, points: diagonal.map((value) => ({ x: value, y: value })) }]}
        height={220}
        onOpen={(n) => {
          const run = runs[n];
          if (run) go("jobs", [run.id]);
        }}
      />
      <Histogram errors={errors} />
    </div>
  );
}

/** Runs by how far off the promise was. */
function Histogram({ errors }: { errors: Errors }) {
  const most = errors.classes.reduce((a, b) => Math.max(a, b), 1);
  const name = (n: number): string => {
    const edge = errors.edges[n];
    return edge === undefined ? `over ${share(errors.edges[n - 1] ?? 0)}` : `up to ${share(edge)}`;
  };
  return (
    <table class="histogram">
      <caption class="muted small">Runs by error</caption>
      <tbody>
        {errors.classes.map((runs, n) => (
          <tr key={name(n)}>
            <th scope="row">{name(n)}</th>
            <td class="histogram-bar" aria-hidden="true">
              <span class="bar-line">
                {runs > 0 && (
                  <span class={n > 3 ? "fill bad" : "fill s1"} style={{ width: `${(100 * runs) / most}%` }} />
                )}
              </span>
            </td>
            <td class="number">{runs.toLocaleString("en")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function share(value: number | null): string {
  return value === null ? "–" : `${+(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
}
