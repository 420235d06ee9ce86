// What a plot is to uPlot: data, options, and what is drawn beneath the curves.
import type { RefObject } from "preact";
import uPlot from "uplot";
import { stairs } from "./stairs";

export interface Series {
  label: string;
  /** Name of a variable of the style sheet: `--reserved`, `--s1` to `--s8`. */
  colour: string;
  /** One for each moment; null: nothing is known, which is a gap. */
  values: ArrayLike<number | null>;
  /** Each value holds until the next one. */
  stepped?: boolean;
  dashed?: boolean;
  /** What it means, at its name in the legend. */
  hint?: string;
}

/** From, until (ms): nothing is known. */
export type Gap = readonly [number, number];

export interface Marker {
  at: number;
  label: string;
  /** Variable of the style sheet; `--bad` by default. */
  colour?: string;
}

interface Latest {
  gaps?: readonly Gap[];
  markers?: readonly Marker[];
  onZoom?: (fromMs: number, untilMs: number) => void;
}

interface Making {
  stacked: boolean;
  max: number | undefined;
  unit: string;
  height: number;
  sync: string | undefined;
  latest: RefObject<Latest>;
  setCursor: (index: number | null) => void;
}

const AXIS_WIDTH = 52;
/** Lines that words at moments may take. */
const MARKER_LINES = 4;

/** Columns for uPlot; stacked ones summed up, the tallest first: lower ones are painted over it. */
export function drawn(
  at: readonly number[],
  series: readonly Series[],
  stacked: boolean,
): uPlot.AlignedData {
  const times = at.map((ms) => ms / 1000);
  if (!stacked) return [times, ...series.map((one) => one.values as (number | null)[])];
  const sums = new Float64Array(at.length);
  const layers = series.map(({ values }) => {
    const layer: (number | null)[] = new Array(at.length);
    for (let n = 0; n < at.length; n += 1) {
      const value = values[n];
      layer[n] = value === null || value === undefined ? null : (sums[n] = (sums[n] ?? 0) + value);
    }
    return layer;
  });
  return [times, ...layers.reverse()];
}

/** A plot in an element, without data yet. */
export function make(element: HTMLElement, series: readonly Series[], making: Making): uPlot {
  const { stacked, max, height, latest } = making;
  const ink = inks(element);
  const ordered = stacked ? [...series].reverse() : series;
  const options: uPlot.Options = {
    width: element.clientWidth || 320,
    height,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: {
      ...(making.sync ? { sync: { key: making.sync } } : {}),
      y: false,
      drag: { x: !!latest.current?.onZoom, y: false, setScale: false, dist: 4 },
      points: { show: !stacked },
    },
    scales: {
      x: { time: true },
      y: { range: (_plot, _min, most) => [0, Math.max(max ?? 0, most ?? 0) || 1] },
    },
    axes: axes(element, making.unit, ink),
    series: [{}, ...ordered.map((one) => curve(one, stacked, ink))],
    hooks: {
      drawClear: [(plot) => shade(plot, latest.current?.gaps ?? [], ink("--gap"))],
      draw: [(plot) => mark(plot, latest.current?.markers ?? [], ink)],
      setCursor: [(plot) => making.setCursor(plot.cursor.idx ?? null)],
      setSelect: [(plot) => brushed(plot, latest.current?.onZoom)],
    },
  };
  return new uPlot(options, [[], ...ordered.map(() => [])], element);
}

type Ink = (variable: string) => string;

function inks(element: HTMLElement): Ink {
  const style = getComputedStyle(element);
  return (variable) => style.getPropertyValue(variable).trim() || "#888";
}

function curve(one: Series, stacked: boolean, ink: Ink): uPlot.Series {
  const colour = ink(one.colour);
  const line = one.stepped && uPlot.paths.stepped ? uPlot.paths.stepped({ align: 1 }) : null;
  const stepped = one.stepped && stacked ? stairs : line;
  return {
    label: one.label,
    ...(stacked ? { fill: colour, width: 0 } : { stroke: colour, width: 1.5 }),
    ...(one.dashed ? { dash: [5, 4] } : {}),
    ...(stepped ? { paths: stepped } : {}),
    points: { show: false },
    spanGaps: false,
  };
}

function axes(element: HTMLElement, unit: string, ink: Ink): uPlot.Axis[] {
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const common = { stroke: ink("--muted"), font, gap: 4, ticks: { show: false } };
  return [
    { ...common, size: 24, grid: { show: false }, space: 64, values: moments },
    {
      ...common,
      size: AXIS_WIDTH,
      space: 28,
      grid: { stroke: ink("--line"), width: 1 },
      values: (_plot, splits) =>
        splits.map((value, n) => `${+value.toFixed(2)}${n === splits.length - 1 ? ` ${unit}` : ""}`),
    },
  ];
}

const DAY_S = 86_400;

/** Times along the axis, in one line: the day where one begins, seconds where they tell more. */
function moments(_plot: uPlot, splits: number[], _axis: number, _space: number, incr: number): string[] {
  return splits.map((at) => {
    const date = new Date(at * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    if (incr >= DAY_S || (midnight && incr >= 60)) {
      return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    }
    return date.toLocaleTimeString("en-GB").slice(0, incr < 60 ? 8 : 5);
  });
}

/** Times of which nothing is known: a band of their own colour, with a line at each end. */
function shade(plot: uPlot, gaps: readonly Gap[], colour: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = colour;
  for (const [from, until] of gaps) {
    const left = Math.max(bbox.left, plot.valToPos(from / 1000, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(until / 1000, "x", true));
    if (right <= left) continue;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    const text = "no data";
    if (ctx.measureText(text).width + 8 < right - left) {
      ctx.save();
      ctx.fillStyle = plot.axes[0]?.stroke ? String((plot.axes[0].stroke as () => string)()) : "#888";
      ctx.textAlign = "center";
      ctx.fillText(text, (left + right) / 2, bbox.top + bbox.height / 2);
      ctx.restore();
    }
  }
  ctx.restore();
}

function mark(plot: uPlot, markers: readonly Marker[], ink: Ink): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.textAlign = "left";
  /** Where the last word of each line ends: one never covers another. */
  const ends = new Array<number>(MARKER_LINES).fill(-Infinity);
  for (const { at, label, colour } of [...markers].sort((a, b) => a.at - b.at)) {
    const x = plot.valToPos(at / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = ink(colour ?? "--bad");
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(label).width;
    const left = Math.max(bbox.left, Math.min(x + 4, bbox.left + bbox.width - width));
    const line = ends.findIndex((end) => end < left);
    if (line < 0) continue;
    ends[line] = left + width + 8;
    ctx.fillText(label, left, bbox.top + 12 * (line + 1) * devicePixelRatio);
  }
  ctx.restore();
}

function brushed(plot: uPlot, onZoom: Latest["onZoom"]): void {
  const { left, width } = plot.select;
  if (width < 4 || !onZoom) return;
  const from = plot.posToVal(left, "x") * 1000;
  const until = plot.posToVal(left + width, "x") * 1000;
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  onZoom(from, until);
}
