import { useMemo } from "preact/hooks";
import { count, day, took } from "../../format";
import { Empty } from "../../parts/empty";
import { Plot, type Series } from "../../parts/plot";
import type { WorkflowDetail } from "./types";

const DAY_MS = 86_400_000;

/** Jobs, failures and GPU time a job, by day. */
export function Trend({ data }: { data: WorkflowDetail }) {
  const { at, counts, seconds } = useMemo(() => columns(data), [data]);
  // the end of the last day belongs to it
  const moment = (ms: number) => day(ms === at[at.length - 1] ? ms - 1 : ms);
  return (
    <section class="panel" aria-labelledby="trend">
      <h2 id="trend">By day</h2>
      {at.length === 0 ? (
        <Empty title="Nothing is added up yet">Sums are made each minute by vramgate jobs.</Empty>
      ) : (
        <>
          <Plot
            label="Jobs a day, done and failed"
            at={at}
            series={counts}
            stacked
            unit="jobs"
            moment={moment}
            format={(value) => count(value, "job")}
            height={110}
            sync="trend"
          />
          <Plot
            label="GPU seconds a job, by day"
            at={at}
            series={seconds}
            unit="s"
            moment={moment}
            format={took}
            height={110}
            sync="trend"
          />
        </>
      )}
    </section>
  );
}

/** Days without jobs have none, and no time of a job: a gap. The last day is drawn to its end. */
function columns({ days }: WorkflowDetail): { at: number[]; counts: Series[]; seconds: Series[] } {
  const first = days[0];
  const last = days[days.length - 1];
  if (!first || !last) return { at: [], counts: [], seconds: [] };
  const known = new Map(days.map((one) => [one.at_ms, one]));
  const at: number[] = [];
  for (let ms = first.at_ms; ms <= last.at_ms + DAY_MS; ms += DAY_MS) at.push(ms);
  const end = at.length - 1;
  const of = (n: number) => known.get(at[n === end ? end - 1 : n] ?? 0);
  const places = at.map((_, n) => n);
  const done = places.map((n) => (of(n)?.jobs ?? 0) - (of(n)?.failed ?? 0));
  const failed = places.map((n) => of(n)?.failed ?? 0);
  const each = places.map((n) => {
    const one = of(n);
    return one && one.jobs > 0 ? one.gpu_seconds / one.jobs : null;
  });
  return {
    at,
    counts: [
      { label: "Failed", colour: "--bad", values: failed, stepped: true },
      { label: "Done", colour: "--reserved", values: done, stepped: true },
    ],
    seconds: [{ label: "GPU time a job", colour: "--s1", values: each, stepped: true }],
  };
}
