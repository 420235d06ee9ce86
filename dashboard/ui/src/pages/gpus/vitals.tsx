import { useMemo } from "preact/hooks";
import { celsius, percent, watts } from "../../format";
import type { Gpu } from "../../live_tables";
import { Plot } from "../../parts/plot";
import { zoomTo } from "../../parts/time_span";
import type { GpuHistory, Values } from "./shapes";

interface Props {
  name: string;
  past: GpuHistory | null;
  /** As it is now, where the span goes on until now. */
  gpu: Gpu | null;
  from: number;
  until: number;
}

interface Vital {
  column: string;
  title: string;
  unit: string;
  colour: string;
  max: number;
  /** What a column's figures are divided by to be in that unit. */
  scale: number;
  now: (gpu: Gpu) => number | null;
  format: (value: number) => string;
}

const VITALS: readonly Vital[] = [
  {
    column: "utilisation",
    title: "Busy",
    unit: "%",
    colour: "--s1",
    max: 100,
    scale: 0.01,
    now: (gpu) => gpu.utilisation,
    format: (value) => percent(value, 100),
  },
  {
    column: "temperature",
    title: "Temperature",
    unit: "°C",
    colour: "--s2",
    max: 90,
    scale: 1,
    now: (gpu) => gpu.temperature,
    format: celsius,
  },
  {
    column: "power_mw",
    title: "Power",
    unit: "W",
    colour: "--s5",
    max: 0,
    scale: 1000,
    now: (gpu) => gpu.power_mw,
    format: (value) => watts(value * 1000),
  },
];

/** Columns of one of these charts. */
const PIXELS = 150;

/** Load, temperature and power over the same time, as far as the driver tells them. */
export function Vitals({ name, past, gpu, from, until }: Props) {
  // Their curves are history and their charts are small: they move on by their own pixels.
  // A power of two: `until` grows, and its pixel must not grow along.
  const pixelMs = 2 ** Math.round(Math.log2((until - from) / PIXELS));
  const end = gpu ? Math.ceil(until / pixelMs) * pixelMs : until;
  const told = VITALS.filter((one) => past?.columns[one.column]?.some((value) => value !== null));
  if (told.length === 0) return null;
  return (
    <div class="vitals">
      {told.map((one) => (
        <VitalPlot key={one.column} vital={one} name={name} past={past} gpu={gpu} from={from} until={end} />
      ))}
    </div>
  );
}

function VitalPlot({ vital, name, past, gpu, from, until }: Props & { vital: Vital }) {
  const { column, title, unit, colour, max, scale, format } = vital;
  const now = gpu ? vital.now(gpu) : null;
  const { at, series, last, most } = useMemo(() => {
    const times = [...(past?.at_ms ?? [])];
    const values: Values = (past?.columns[column] ?? []).map((one) => (one === null ? null : one / scale));
    for (const [start] of [...(past?.gaps ?? [])].reverse()) {
      const place = times.findIndex((time) => time >= start);
      if (place > 0) {
        times.splice(place, 0, start);
        values.splice(place, 0, null);
      }
    }
    const known = values.filter((one): one is number => one !== null);
    const most = known.length ? Math.max(...known) : 0;
    return { at: times, series: [{ label: title, colour, values }], last: known[known.length - 1], most };
  }, [past, column]);
  const plot = useMemo(
    () => (
        <Plot
          label={`${title} of ${name} in ${unit}`}
          at={at}
          series={series}
          gaps={past?.gaps ?? []}
          unit={unit}
          format={format}
          from={from}
          until={until}
          max={max}
          height={84}
          sync="gpus"
          onZoom={zoomTo}
          bare
        />
    ),
    [at, series, from, until, name],
  );
  const latest = now === null ? last : now / scale;
  return (
    <div>
      <p class="small">
        {title} <strong>{latest === undefined ? "–" : format(latest)}</strong>
        <span class="muted"> at most {format(most)}</span>
      </p>
      {plot}
    </div>
  );
}
