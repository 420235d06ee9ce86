import "./xy.css";
import { useEffect, useId, useRef, useState } from "preact/hooks";

export type PointTone = "plain" | "good" | "bad";

export interface XyPoint {
  x: number;
  y: number;
  tone?: PointTone;
  /** What it is, at the pointer. */
  title?: string;
  /** Hollow: not measured. */
  hollow?: boolean;
}

export interface XyLine {
  label: string;
  points: readonly { x: number; y: number }[];
  dashed?: boolean;
}

export interface XyAxis {
  /** Quantity with its unit. */
  title: string;
  format: (value: number) => string;
  /** Begins at zero. */
  zero?: boolean;
}

interface Props {
  /** What is drawn, read out instead of it. */
  label: string;
  x: XyAxis;
  y: XyAxis;
  points: readonly XyPoint[];
  lines?: readonly XyLine[];
  height?: number;
  onOpen?: (index: number) => void;
}

/** Before it is measured, px. */
const WIDTH = 480;
const LEFT = 64;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 38;

/** Points and lines over two quantities; a table beside it says the same in figures. */
export function Xy({ label, x, y, points, lines = [], height = 220, onOpen }: Props) {
  const id = useId();
  const [over, setOver] = useState("");
  const place = useRef<HTMLElement>(null);
  const width = useWidth(place);
  const all = [...points, ...lines.flatMap((line) => line.points)];
  const across = scale(all.map((point) => point.x), x.zero, LEFT, width - RIGHT);
  const up = scale(all.map((point) => point.y), y.zero, height - BOTTOM, TOP);
  return (
    <figure class="xy" ref={place}>
      <svg width={width} height={height} role="img" aria-labelledby={id}>
        <title id={id}>{label}</title>
        {up.marks.map((value) => (
          <g key={value}>
            <line class="xy-grid" x1={LEFT} x2={width - RIGHT} y1={up.at(value)} y2={up.at(value)} />
            <text x={LEFT - 6} y={up.at(value) + 4} text-anchor="end">
              {value === 0 ? "0" : y.format(value)}
            </text>
          </g>
        ))}
        {across.marks.map((value) => (
          <text key={value} x={across.at(value)} y={height - BOTTOM + 16} text-anchor="middle">
            {value === 0 ? "0" : x.format(value)}
          </text>
        ))}
        <text x={(LEFT + width - RIGHT) / 2} y={height - 4} text-anchor="middle">
          {x.title}
        </text>
        {lines.map((line) => (
          <Line key={line.label} line={line} across={across} up={up} />
        ))}
        {points.map((point, n) => (
          <circle
            key={n}
            class={`xy-point ${point.tone ?? "plain"} ${point.hollow ? "hollow" : ""}`}
            cx={across.at(point.x)}
            cy={up.at(point.y)}
            r={point.tone === "bad" ? 4.5 : 3.5}
            onMouseEnter={() => setOver(point.title ?? "")}
            onMouseLeave={() => setOver("")}
            onClick={() => onOpen?.(n)}
          />
        ))}
      </svg>
      <figcaption class="muted small">{over || `${y.title}; point at a dot to read it`}</figcaption>
    </figure>
  );
}

/** How wide it is drawn, so that letters are as large everywhere. */
function useWidth(place: { current: HTMLElement | null }): number {
  const [width, set] = useState(WIDTH);
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const measured = new ResizeObserver(() => set(Math.max(160, Math.min(760, element.clientWidth))));
    measured.observe(element);
    return () => measured.disconnect();
  }, []);
  return width;
}

function Line({ line, across, up }: { line: XyLine; across: Scale; up: Scale }) {
  const path = line.points.map((point) => `${across.at(point.x)},${up.at(point.y)}`).join(" ");
  const last = line.points[line.points.length - 1];
  return (
    <g class="xy-line">
      <polyline points={path} class={line.dashed ? "dashed" : ""} />
      {last && (
        <text x={across.at(last.x) - 4} y={up.at(last.y) - 5} text-anchor="end">
          {line.label}
        </text>
      )}
    </g>
  );
}

interface Scale {
  at: (value: number) => number;
  marks: number[];
}

/** Values to pixels, with about four round marks. */
function scale(values: readonly number[], zero: boolean | undefined, from: number, to: number): Scale {
  const least = values.reduce((a, b) => Math.min(a, b), zero ? 0 : Infinity);
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const low = Number.isFinite(least) ? least : 0;
  const high = Number.isFinite(most) && most > low ? most : low + 1;
  const step = round((high - low) / 4);
  const begin = Math.floor(low / step) * step;
  const end = Math.ceil(high / step) * step;
  const marks = [];
  for (let n = 0; begin + n * step <= end + step / 2; n += 1) marks.push(begin + n * step);
  return { at: (value) => from + ((value - begin) / (end - begin)) * (to - from), marks };
}

/** The next 1, 2 or 5 with any number of zeros. */
function round(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= step * 0.999) ?? step;
}
