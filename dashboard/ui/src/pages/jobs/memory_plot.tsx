import { useMemo } from "preact/hooks";
import { gib, took } from "../../format";
import { Empty } from "../../parts/empty";
import { type Marker, Plot, type Series } from "../../parts/plot";
import { zoomTo } from "../../parts/time_span";
import type { Range } from "./job";
import type { JobDetail } from "./types";

const GIB = 2 ** 30;
/** Only so many loads have a word in the chart; the table below it has all. */
const MOST_MARKED = 6;
const LEAST_MARKED = GIB / 4;

/** The worker's memory while the job ran, on the nodes' time axis. */
export function MemoryPlot({ detail, shown, running }: { detail: JobDetail; shown: Range; running: boolean }) {
  const { memory, moves } = detail;
  const step = detail.steps.find((one) => one.attempt === detail.attempt && one.what === "running");
  const promised = step?.reserved_bytes || detail.job.reserved_bytes;
  const columns = useMemo(() => withGaps(memory.at_ms, memory.gaps), [memory]);
  const series = useMemo(() => {
    const { places } = columns;
    const figures = (values: readonly (number | null)[]): (number | null)[] =>
      places.map((place) => (place < 0 ? null : scaled(values[place] ?? null)));
    const lines: Series[] = [
      {
        label: "Worker's footprint",
        colour: "--s1",
        values: figures(memory.footprint),
        hint: "What the card sees of the worker's process",
      },
      { label: "Allocated by torch", colour: "--s3", values: figures(memory.allocated) },
    ];
    if (memory.device_free.some((value) => value !== null)) {
      lines.push({ label: "Free on the card", colour: "--s8", values: figures(memory.device_free) });
    }
    if (promised) {
      const line = places.map(() => promised / GIB);
      lines.push({ label: "Promised to the job", colour: "--bad", values: line, dashed: true });
    }
    return lines;
  }, [columns, memory, promised]);
  const markers = useMemo<Marker[]>(
    () =>
      moves
        .filter((move) => move.bytes >= LEAST_MARKED)
        .slice(0, MOST_MARKED)
        .map((move) => ({
          at: move.at_ms,
          label: `${move.what === "load" ? "+" : "−"}${move.model}`,
          colour: "--muted",
        })),
    [moves],
  );
  if (memory.at_ms.length === 0) {
    return (
      <Empty title="No memory curve">
        {running
          ? "Without a probe in the worker there is none; with one it appears a second after the start."
          : "Curves come from the worker's probe and are kept for a week (history.keep_curves)."}
      </Empty>
    );
  }
  return (
    <div class="under-lanes">
      <Plot
        label="Memory of the worker in GiB while the job ran"
        at={columns.at}
        series={series}
        unit="GiB"
        format={(value) => gib(value * GIB)}
        from={shown.from}
        until={shown.until}
        gaps={memory.gaps}
        markers={markers}
        height={190}
        onZoom={zoomTo}
      />
      {memory.gaps.length > 0 && (
        <p class="muted small">
          {took(memory.gaps.reduce((sum, [from, until]) => sum + until - from, 0) / 1000)} of this time are not known
          {memory.lost > 0 && ` (the probe had to drop ${memory.lost.toLocaleString("en")} records)`}: shaded, and
          never drawn as zero.
        </p>
      )}
    </div>
  );
}

function scaled(value: number | null): number | null {
  return value === null ? null : value / GIB;
}

/** Moments, with one of nothing (place −1) in each gap, so that no line crosses it. */
function withGaps(at: readonly number[], gaps: readonly [number, number][]): { at: number[]; places: number[] } {
  const moments = at.map((ms, place) => ({ ms, place }));
  const holes = gaps.map(([from, until]) => ({ ms: (from + until) / 2, place: -1 }));
  const all = [...moments, ...holes].sort((a, b) => a.ms - b.ms);
  return { at: all.map((one) => one.ms), places: all.map((one) => one.place) };
}
