import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { SPAN_MS } from "../../live";
import type { Curve } from "../../types";

const HEIGHT = 132;
const GIB = 2 ** 30;

interface Props {
  curve: Curve;
  totalBytes: number;
  /** Server time at the right edge; the last figures hold until then. */
  nowMs: number;
  label: string;
  theme: string;
}

/** Stacked use of one GPU's memory over the last minutes: foreign, resident, reserved; the rest is free. */
export function MemoryChart({ curve, totalBytes, nowMs, label, theme }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(options(element, totalBytes), [[], [], [], []], element);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [totalBytes, theme]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData(stacked(curve, nowMs), false);
      plot.current?.setScale("x", { min: (nowMs - SPAN_MS) / 1000, max: nowMs / 1000 });
    });
  }, [curve, nowMs, totalBytes, theme]);

  return <div class="chart" ref={place} role="img" aria-label={label} />;
}

/** Columns for the plot: the tallest stack first, so that the lower ones are painted over it. */
function stacked(curve: Curve, nowMs: number): uPlot.AlignedData {
  const times = curve.at_ms.map((time) => time / 1000);
  const foreign = curve.foreign_bytes.map((bytes) => bytes / GIB);
  const resident = curve.resident_bytes.map((bytes, n) => bytes / GIB + (foreign[n] ?? 0));
  const reserved = curve.reserved_bytes.map((bytes, n) => bytes / GIB + (resident[n] ?? 0));
  const last = times.length - 1;
  if (last >= 0 && nowMs / 1000 > (times[last] ?? 0)) {
    times.push(nowMs / 1000);
    for (const column of [foreign, resident, reserved]) column.push(column[last] ?? 0);
  }
  return [times, reserved, resident, foreign];
}

function options(element: HTMLElement, totalBytes: number): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const text = colour("--muted");
  const line = colour("--line");
  const total = totalBytes / GIB;
  const layer = (label: string, name: string): uPlot.Series => ({
    label,
    fill: colour(name),
    width: 0,
    points: { show: false },
    ...(uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
  });
  const font = `11px ${style.fontFamily}`;
  return {
    width: element.clientWidth || 320,
    height: HEIGHT,
    padding: [6, 14, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true },
      // Promises may add up to more than there is: show that too.
      y: { range: (_plot, _min, max) => [0, Math.max(total, max ?? 0) || 1] },
    },
    axes: [
      {
        stroke: text,
        font,
        size: 22,
        gap: 4,
        grid: { show: false },
        ticks: { show: false },
        space: 90,
        values: (plot, splits) =>
          splits.map((at) => {
            const minutes = Math.round((at - (plot.scales.x?.max ?? at)) / 60);
            return minutes === 0 ? "now" : `${minutes} min`;
          }),
        splits: (_plot, _axis, min, max) => {
          const step = (max - min) / 5;
          return Array.from({ length: 6 }, (_, n) => min + n * step).slice(1);
        },
      },
      {
        stroke: text,
        font,
        size: 48,
        gap: 4,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        splits: (_plot, _axis, _min, max) => [0, max / 2, max],
        values: (_plot, splits) =>
          splits.map((value, n) => `${Math.round(value)}${n === splits.length - 1 ? " GiB" : ""}`),
      },
    ],
    series: [
      {},
      layer("reserved", "--reserved"),
      layer("resident", "--resident"),
      layer("foreign", "--foreign"),
    ],
  };
}
