import { useMemo } from "preact/hooks";
import { celsius, gib, percent, watts } from "../../format";
import type { View } from "../../live";
import { type Curve, NO_CURVE, SPAN_MS } from "../../live_curves";
import type { Gpu, Worker } from "../../live_tables";
import { Chip } from "../../parts/chip";
import { Plot, type Series } from "../../parts/plot";
import { href } from "../../router";

const GIB = 2 ** 30;

/** Every GPU with its memory over the last minutes, and its workers. */
export function Gpus({ view, now }: { view: View; now: number }) {
  const without = view.workers.filter((worker) => !worker.gpu);
  return (
    <section aria-labelledby="gpus">
      <h2 id="gpus">GPU memory</h2>
      {view.gpus.length === 0 && without.length === 0 && (
        <p class="card empty">
          <span>
            No worker has reported yet. Start an agent with <code>vramgate agent</code>, or try a pool without a
            GPU: <code>vramgate up --simulate gpus=2,vram=24GiB,workers=2</code>
          </span>
        </p>
      )}
      <div class="cards">
        {view.gpus.map((gpu) => (
          <GpuCard
            key={gpu.id}
            gpu={gpu}
            workers={view.workers.filter((worker) => worker.gpu === gpu.id)}
            curve={view.curves[gpu.id] ?? NO_CURVE}
            now={now}
          />
        ))}
        {without.length > 0 && (
          <article class="card">
            <header class="card-head">
              <h3>Workers without a GPU</h3>
            </header>
            <Workers workers={without} />
          </article>
        )}
      </div>
    </section>
  );
}

interface CardProps {
  gpu: Gpu;
  workers: Worker[];
  curve: Curve;
  now: number;
}

function GpuCard({ gpu, workers, curve, now }: CardProps) {
  const measured = gpu.memory_source !== "none" && gpu.total_bytes > 0;
  const used = gpu.total_bytes - gpu.free_bytes;
  const vitals = [
    gpu.utilisation !== null && `${percent(gpu.utilisation, 1)} busy`,
    gpu.temperature !== null && celsius(gpu.temperature),
    gpu.power_mw !== null && watts(gpu.power_mw),
  ].filter(Boolean);
  return (
    <article class="card" aria-label={`${gpu.name} ${gpu.index} on ${gpu.agent}`}>
      <header class="card-head">
        <h3>
          <a href={href("gpus", [gpu.id])}>{gpu.name}</a>
        </h3>
        <span class="muted">
          {gpu.agent} · GPU {gpu.index}
        </span>
        {gpu.silent && <Chip tone="warn">no word from its agent</Chip>}
        {gpu.state === "SUSPECT" && <Chip tone="warn">figures in doubt</Chip>}
        {gpu.throttled.length > 0 && <Chip tone="warn">throttled</Chip>}
        <span class="muted small push">{vitals.join(" · ")}</span>
      </header>
      {measured ? (
        <>
          <Memory gpu={gpu} curve={curve} now={now} label={`${gib(used)} of ${gib(gpu.total_bytes)} taken now`} />
          <Legend gpu={gpu} />
        </>
      ) : (
        <p class="empty">No memory figures here: one job at a time for each worker.</p>
      )}
      <Workers workers={workers} />
    </article>
  );
}

interface MemoryProps {
  gpu: Gpu;
  curve: Curve;
  now: number;
  label: string;
}

function Memory({ gpu, curve, now, label }: MemoryProps) {
  const at = useMemo(() => [...curve.at_ms, now], [curve, now]);
  const series = useMemo(() => {
    const layer = (name: string, colour: string, bytes: readonly number[]): Series => ({
      label: name,
      colour,
      stepped: true,
      // the last figures hold until now
      values: [...bytes, bytes[bytes.length - 1] ?? 0].map((n) => n / GIB),
    });
    return [
      layer("Foreign", "--foreign", curve.foreign_bytes),
      layer("Resident", "--resident", curve.resident_bytes),
      layer("Reserved", "--reserved", curve.reserved_bytes),
    ];
  }, [curve, now]);
  return (
    <Plot
      label={`Memory of ${gpu.name} in GiB over the last ten minutes: ${label}`}
      at={at}
      series={series}
      unit="GiB"
      format={(value) => `${value.toFixed(1)} GiB`}
      from={now - SPAN_MS}
      until={now}
      max={gpu.total_bytes / GIB}
      height={132}
      stacked
      bare
    />
  );
}

function Legend({ gpu }: { gpu: Gpu }) {
  const rows: [string, string, string, number][] = [
    ["reserved", "Reserved", "Promised to running jobs", gpu.reserved_bytes],
    ["resident", "Resident", "Kept by idle workers, released when needed", gpu.resident_bytes],
    ["foreign", "Foreign", "Held by other programs", gpu.foreign_bytes],
    ["free", "Free", "Nobody's", gpu.free_bytes],
  ];
  return (
    <table class="legend">
      <caption class="hidden">Memory of {gpu.name} now</caption>
      <tbody>
        {rows.map(([key, name, meaning, bytes]) => (
          <tr key={key} title={meaning}>
            <th scope="row">
              <span class={`swatch ${key}`} aria-hidden="true" />
              {name}
            </th>
            <td class="number">{gib(bytes)}</td>
            <td class="number muted">{percent(bytes, gpu.total_bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Workers({ workers }: { workers: Worker[] }) {
  if (workers.length === 0) return <p class="muted small">No worker here.</p>;
  return (
    <ul class="workers" aria-label="Workers">
      {workers.map((worker) => (
        <li key={worker.id} class={worker.busy ? "busy" : ""} title={worker.models.join("\n")}>
          <span class="dot" aria-hidden="true" />
          <span>{worker.id}</span>
          <span class="muted">{doing(worker)}</span>
        </li>
      ))}
    </ul>
  );
}

function doing(worker: Worker): string {
  if (worker.silent) return "silent";
  if (worker.busy) return worker.user;
  if (worker.state === "READY") return "idle";
  return worker.state.toLowerCase();
}
