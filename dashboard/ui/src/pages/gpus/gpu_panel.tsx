import { useMemo } from "preact/hooks";
import { celsius, gib, percent, watts } from "../../format";
import { gpuName } from "../../gpu_names";
import type { Curve } from "../../live_curves";
import type { Gpu, Worker } from "../../live_tables";
import { Chip } from "../../parts/chip";
import { Plot } from "../../parts/plot";
import { zoomTo } from "../../parts/time_span";
import { href } from "../../router";
import { type By, layersOf } from "./layers";
import type { GpuHistory } from "./shapes";
import { Vitals } from "./vitals";
import { Workers } from "./workers";

const GIB = 2 ** 30;

interface Props {
  id: string;
  /** As it is just now; null: its agent is no longer there. */
  gpu: Gpu | null;
  workers: Worker[];
  past: GpuHistory | null;
  /** History has been answered: without any, the whole span is a gap. */
  loaded: boolean;
  /** The last minutes; null: the span shown has ended. */
  live: Curve | null;
  by: By;
  /** Of all GPUs' layers, for their colours. */
  names: readonly string[];
  from: number;
  until: number;
  large: boolean;
}

/** One GPU over time: its memory, its load, and what its workers hold. */
export function GpuPanel({ id, gpu, workers, past, loaded, live, by, names, from, until, large }: Props) {
  // `until` moves on by pixels: in between, nothing that is live could be seen.
  const layers = useMemo(() => layersOf(past, live, by, names), [past, !live, by, names, until]);
  const totals = past?.columns.total_bytes ?? [];
  const total = gpu?.total_bytes ?? totals[totals.length - 1] ?? 0;
  const name = nameOf(id, gpu);
  const memory = useMemo(
    () =>
      total > 0 && (
        <Plot
          label={`Memory of ${name} in GiB, by ${by}`}
          at={layers.at}
          series={layers.series}
          gaps={layers.at.length === 0 && loaded ? [[from, until]] : layers.gaps}
          unit="GiB"
          format={inGib}
          from={from}
          until={until}
          max={total / GIB}
          height={large ? 300 : 170}
          sync="gpus"
          onZoom={zoomTo}
          stacked
        />
      ),
    [layers, loaded, name, by, from, until, total, large],
  );
  const running = !!live;
  const vitals = useMemo(
    () => <Vitals name={name} past={past} gpu={running ? gpu : null} from={from} until={until} />,
    [name, past, running, gpu?.utilisation, gpu?.temperature, gpu?.power_mw, from, until],
  );
  return (
    <>
      <header class="card-head">
        <h2>
          <a href={href("gpus", [id])}>{gpu?.name ?? gpuName([], id)}</a>
        </h2>
        {gpu && (
          <span class="muted">
            {gpu.agent} · GPU {gpu.index} · {gib(gpu.total_bytes)}
          </span>
        )}
        <States gpu={gpu} />
        <Now gpu={gpu} />
      </header>
      {memory}
      {gpu?.memory_source === "none" && (
        <p class="empty">No memory figures here: one job at a time for each worker.</p>
      )}
      {vitals}
      {gpu && <Workers workers={workers} gpu={gpu} />}
    </>
  );
}

/** What a GPU is called: `RTX 4090, studio-a GPU 0`. */
export function nameOf(id: string, gpu: Gpu | null): string {
  return gpu ? `${gpu.name}, ${gpu.agent} GPU ${gpu.index}` : id;
}

function inGib(value: number): string {
  return `${value.toFixed(1)} GiB`;
}

/** What is not as it should be, each with what it means. */
function States({ gpu }: { gpu: Gpu | null }) {
  if (!gpu) return <Chip tone="warn">not there now</Chip>;
  return (
    <>
      {gpu.silent && <Chip tone="warn">no word from its agent</Chip>}
      {gpu.state === "SUSPECT" && (
        <Chip tone="bad" title="Nothing new starts on it until its figures can be believed again">
          figures in doubt{gpu.trouble && `: ${gpu.trouble}`}
        </Chip>
      )}
      {gpu.throttled.length > 0 && (
        <Chip tone="warn" title="Its clocks are kept down: jobs run slower than they could">
          throttled: {gpu.throttled.map((why) => why.replaceAll("_", " ")).join(", ")}
        </Chip>
      )}
      {(gpu.ecc_uncorrected ?? 0) > 0 && (
        <Chip tone="bad" title="Memory errors that were not corrected, since the driver was loaded">
          {gpu.ecc_uncorrected} memory errors
        </Chip>
      )}
      {gpu.rival && <Chip tone="bad">also claimed by {gpu.rival}</Chip>}
      {!gpu.by_process && (
        <Chip title="The driver hides what each process holds, as in a container">by worker's own count</Chip>
      )}
      {gpu.memory_source === "system_stats" && (
        <Chip title="An existing ComfyUI tells it, not the driver">as its ComfyUI tells</Chip>
      )}
    </>
  );
}

function Now({ gpu }: { gpu: Gpu | null }) {
  if (!gpu) return null;
  const told = [
    gpu.utilisation !== null && `${percent(gpu.utilisation, 1)} busy`,
    gpu.temperature !== null && celsius(gpu.temperature),
    gpu.power_mw !== null && watts(gpu.power_mw),
    gpu.clock_mhz !== null && `${gpu.clock_mhz} MHz`,
  ].filter(Boolean);
  return <span class="small push">{told.join(" · ")}</span>;
}
