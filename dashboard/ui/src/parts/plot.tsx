import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { useTheme } from "../theme";
import { PlotLegend } from "./plot_legend";
import { drawn, type Gap, make, type Marker, type Series } from "./plot_make";

export type { Gap, Marker, Series } from "./plot_make";

interface Props {
  /** What is drawn, of what, in which unit: read out before the figures. */
  label: string;
  /** Milliseconds since the epoch, growing. */
  at: readonly number[];
  series: readonly Series[];
  /** One unit for all series, at the axis: `GiB`. */
  unit: string;
  /** A figure with its unit, in the legend. */
  format: (value: number) => string;
  /** What a moment is called in the legend; by default its time of day. */
  moment?: (ms: number) => string;
  /** Ends of the axis; by default those of `at`. */
  from?: number;
  until?: number;
  /** Largest value of the axis, where there is one (a GPU's memory). */
  max?: number;
  /** Layers upon each other, the first at the bottom. */
  stacked?: boolean;
  /** Times of which nothing is known. */
  gaps?: readonly Gap[];
  /** Moments with a word. */
  markers?: readonly Marker[];
  height?: number;
  /** Charts with the same one share their cursor. */
  sync?: string;
  /** A span was brushed, or zoomed to with + and −; without it there is no brush. */
  onZoom?: (fromMs: number, untilMs: number) => void;
  /** Without the table of figures below, where there is another. */
  bare?: boolean;
}

/** Curves over time. A null is a gap and drawn as one. */
export function Plot(props: Props) {
  const { at, series, label } = props;
  const theme = useTheme();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const seen = useRef(true);
  const latest = useRef(props);
  latest.current = props;

  const shown = useMemo(() => series.filter((one) => !off.has(one.label)), [series, off]);
  const look = shown.map((one) => [one.label, one.colour, one.dashed, one.stepped].join()).join(";");
  const { stacked = false, max, unit, height = 160, sync } = props;
  const data = useMemo(() => drawn(at, shown, stacked), [at, shown, stacked]);
  const now = useRef(data);
  now.current = data;

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const made = make(element, shown, { stacked, max, unit, height, sync, latest, setCursor });
    plot.current = made;
    show(made, now.current, latest.current);
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    // What is out of sight is drawn when it comes into sight.
    const looked = new IntersectionObserver(
      (entries) => {
        seen.current = entries.some((entry) => entry.isIntersecting);
        if (seen.current) show(made, now.current, latest.current);
      },
      { rootMargin: "200px" },
    );
    looked.observe(element);
    return () => {
      resized.disconnect();
      looked.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [look, stacked, max, unit, height, sync, theme, !!props.onZoom]);

  useEffect(() => {
    if (plot.current && seen.current) show(plot.current, data, latest.current);
  }, [data, props.from, props.until, props.gaps, props.markers]);

  const toggle = (name: string): void => {
    const next = new Set(off);
    if (!next.delete(name)) next.add(name);
    setOff(next);
  };

  return (
    <figure class="plot">
      <div
        class="chart"
        ref={place}
        style={{ height: `${height}px` }}
        role="group"
        aria-roledescription="chart"
        aria-label={`${label}. Arrow keys move the cursor.`}
        tabIndex={0}
        onKeyDown={(event) => plot.current && steer(plot.current, event, latest.current)}
      />
      {!props.bare && (
        <PlotLegend {...props} cursor={cursor} off={off} onToggle={toggle} />
      )}
    </figure>
  );
}

function show(plot: uPlot, data: uPlot.AlignedData, { at, from, until }: Props): void {
  const min = from ?? at[0] ?? 0;
  const max = until ?? at[at.length - 1] ?? 1;
  plot.batch(() => {
    plot.setData(data, false);
    plot.setScale("x", { min: min / 1000, max: Math.max(max, min + 1) / 1000 });
  });
}

/** The cursor by arrow keys; zoom by + and −, around it. */
function steer(plot: uPlot, event: KeyboardEvent, { onZoom }: Props): void {
  const times = plot.data[0];
  const { min = 0, max = 1 } = plot.scales.x ?? {};
  if (times.length === 0 || min === null || max === null) return;
  const here = plot.cursor.idx ?? times.length - 1;
  const step = event.shiftKey ? Math.max(2, Math.round(times.length / 20)) : 1;
  const to = { ArrowLeft: here - step, ArrowRight: here + step, Home: 0, End: times.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    const index = Math.min(times.length - 1, Math.max(0, to));
    // the very edge would count as outside
    const left = Math.min(plot.over.clientWidth - 1, plot.valToPos(times[index] ?? min, "x"));
    plot.setCursor({ left, top: plot.over.clientHeight / 2 });
    return;
  }
  const factor = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
  if (!onZoom || !factor) return;
  event.preventDefault();
  const middle = times[here] ?? (min + max) / 2;
  const half = ((max - min) * factor) / 2;
  onZoom((middle - half) * 1000, (middle + half) * 1000);
}
