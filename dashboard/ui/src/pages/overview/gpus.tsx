import { MemoryChart } from "./memory_chart";
import { gib, percent } from "../../format";
import type { Curve, Gpu, Overview, Worker } from "../../types";

const EMPTY: Curve = {
  at_ms: [],
  foreign_bytes: [],
  resident_bytes: [],
  reserved_bytes: [],
  free_bytes: [],
};

interface Props {
  overview: Overview;
  curves: Record<string, Curve>;
  nowMs: number;
  theme: string;
}

/** Every GPU with its memory over the last minutes, and its workers. */
export function Gpus({ overview, curves, nowMs, theme }: Props) {
  const without = overview.workers.filter((worker) => !worker.gpu);
  return (
    <section aria-labelledby="gpus">
      <h2 id="gpus">GPU memory</h2>
      {overview.gpus.length === 0 && without.length === 0 && (
        <p class="card empty">
          <span>
          No worker has reported yet. Start an agent with <code>vramgate agent</code>, or try a pool without a GPU:{" "}
          <code>vramgate up --simulate gpus=2,vram=24GiB,workers=2</code>
          </span>
        </p>
      )}
      <div class="cards">
        {overview.gpus.map((gpu) => (
          <GpuCard
            key={gpu.id}
            gpu={gpu}
            workers={overview.workers.filter((worker) => worker.gpu === gpu.id)}
            curve={curves[gpu.id] ?? EMPTY}
            nowMs={nowMs}
            theme={theme}
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
  nowMs: number;
  theme: string;
}

function GpuCard({ gpu, workers, curve, nowMs, theme }: CardProps) {
  const measured = gpu.memory_source !== "none" && gpu.total_bytes > 0;
  const used = gpu.total_bytes - gpu.free_bytes;
  return (
    <article class="card" aria-label={`${gpu.name} ${gpu.index} on ${gpu.agent}`}>
      <header class="card-head">
        <h3>{gpu.name}</h3>
        <span class="muted">
          {gpu.agent} · GPU {gpu.index}
        </span>
        {gpu.silent && <span class="chip warn">no word from its agent</span>}
        {gpu.state === "SUSPECT" && <span class="chip warn">figures in doubt</span>}
      </header>
      {measured ? (
        <>
          <MemoryChart
            curve={curve}
            totalBytes={gpu.total_bytes}
            nowMs={nowMs}
            theme={theme}
            label={
              `Memory of ${gpu.name} in GiB over the last ten minutes; now ${gib(used)} ` +
              `of ${gib(gpu.total_bytes)} are taken`
            }
          />
          <Legend gpu={gpu} />
        </>
      ) : (
        <p class="empty">No memory figures here: one job at a time for each worker.</p>
      )}
      <Workers workers={workers} />
    </article>
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
