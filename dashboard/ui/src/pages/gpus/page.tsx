import "./gpus.css";
import { useMemo } from "preact/hooks";
import { useApi } from "../../api";
import { useLive } from "../../live";
import { useLiveNow } from "../../live_now";
import type { PageProps } from "../../pages";
import { Empty } from "../../parts/empty";
import { InSight } from "../../parts/in_sight";
import { Problem } from "../../parts/problem";
import { TimeSpan, useSpan } from "../../parts/time_span";
import { Take } from "../../recording/take";
import { href, setQuery } from "../../router";
import { GpuPanel, nameOf } from "./gpu_panel";
import { type By, namesOf } from "./layers";
import type { GpuHistories } from "./shapes";

const BY: [By, string][] = [
  ["kind", "reserved, resident, foreign"],
  ["worker", "worker"],
  ["user", "user"],
];

/** Columns of a chart where it is alone, and beside others. */
const PIXELS = 1200;
const PIXELS_OF_MANY = 600;

export default function GpusPage({ route, session }: PageProps) {
  const one = route.args[0];
  const span = useSpan("1h");
  const view = useLive();
  const by = BY.find(([name]) => name === route.query.by)?.[0] ?? "user";
  const history = useApi<GpuHistories>("samples/gpus", { ...span.query, gpu: one });
  const told = history.data;

  // Nothing is drawn anew before it would be a pixel further.
  const pixelMs = Math.max(500, (span.until - span.from) / (one ? PIXELS : PIXELS_OF_MANY));
  const now = useLiveNow(view, Math.max(1000, pixelMs));
  const until = span.moving ? Math.ceil(Math.max(now, span.until) / pixelMs) * pixelMs : span.until;
  const names = useMemo(
    () => namesOf([...Object.values(told?.gpus ?? {}), ...Object.values(view.curves)], by),
    [told, until, by],
  );
  const past = Object.keys(told?.gpus ?? {});
  const ids = [...view.gpus.map((gpu) => gpu.id), ...past.filter((id) => !view.gpus.some((gpu) => gpu.id === id))];
  const shown = one ? ids.filter((id) => id === one) : ids;
  return (
    <div class="page">
      <div class="page-head">
        <h1>GPUs</h1>
        {one && <a href={href("gpus", [], route.query)}>All GPUs</a>}
        {session.seesAll && <a href={href("workers")}>Drain, restart, logs</a>}
        <label class="by">
          Memory by{" "}
          <select value={by} onChange={(event) => setQuery({ by: event.currentTarget.value })}>
            {BY.map(([name, title]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <div class="push">
          <TimeSpan preset="1h" />
          <Take from={span.from} until={span.until} />
        </div>
      </div>
      {history.problem && <Problem message={history.problem.message} retry={history.reload} />}
      {!history.loading && shown.length === 0 && (
        <Empty title="No GPU has reported in this time">
          Start an agent on a GPU host with <code>vramgate agent</code>, or choose another time.
        </Empty>
      )}
      <div class={one ? "stack" : "gpus"}>
        {shown.map((id) => {
          const gpu = view.gpus.find((one) => one.id === id) ?? null;
          return (
            <InSight
              key={id}
              class="panel gpu"
              label={nameOf(id, gpu)}
              because={[told, by, span.from, span.until]}
            >
              {() => (
                <GpuPanel
                  id={id}
                  gpu={gpu}
                  workers={view.workers.filter((worker) => worker.gpu === id)}
                  past={told?.gpus[id] ?? null}
                  loaded={!!told}
                  live={span.moving ? (view.curves[id] ?? null) : null}
                  by={by}
                  names={names}
                  from={span.from}
                  until={until}
                  large={!!one}
                />
              )}
            </InSight>
          );
        })}
      </div>
    </div>
  );
}
