import { count } from "../../format";
import type { Chart } from "./shapes";
import { figure } from "./words";

const WIDTH = 320;
const ROW = 26;
const PAD = 8;

/** Each run a dot on one scale, a row for each kind; a line where values follow one another. */
export function Dots({ chart }: { chart: Chart }) {
  const values = chart.rows.flatMap((row) => row.values);
  const most = Math.max(...values, 0);
  if (values.length === 0 || most <= 0) return null;
  const said = chart.rows
    .filter((row) => row.values.length > 0)
    .map((row) => `${row.name}: ${count(row.values.length, "value")}, middle ${figure(middle(row.values), chart.unit)}`);
  return (
    <figure class="dots">
      <figcaption>
        {chart.title}, 0 to {figure(most, chart.unit)}
      </figcaption>
      {chart.rows.map((row, n) => (
        <div key={row.name} class="dots-row">
          <span class="dots-name">{row.name}</span>
          <svg viewBox={`0 0 ${WIDTH} ${chart.line ? ROW * 2 : ROW}`} role="img" aria-label={said[n] ?? row.name}>
            {chart.line ? <Line values={row.values} most={most} /> : <Strip values={row.values} most={most} tone={n} />}
          </svg>
          <span class="dots-middle">
            {chart.line ? "" : figure(middle(row.values), chart.unit)}
          </span>
        </div>
      ))}
    </figure>
  );
}

function Strip({ values, most, tone }: { values: number[]; most: number; tone: number }) {
  const x = (value: number): number => PAD + ((WIDTH - 2 * PAD) * value) / most;
  const half = middle(values);
  return (
    <>
      <line class="dots-axis" x1={PAD} x2={WIDTH - PAD} y1={ROW / 2} y2={ROW / 2} />
      {values.map((value, n) => (
        <circle key={n} class={`dot s${tone + 1}`} cx={x(value)} cy={ROW / 2 + ((n % 3) - 1) * 4} r={3} />
      ))}
      {values.length > 0 && <line class="dots-half" x1={x(half)} x2={x(half)} y1={2} y2={ROW - 2} />}
    </>
  );
}

function Line({ values, most }: { values: number[]; most: number }) {
  const height = ROW * 2;
  const step = (WIDTH - 2 * PAD) / Math.max(1, values.length - 1);
  const points = values.map(
    (value, n) => `${PAD + n * step},${height - PAD - ((height - 2 * PAD) * Math.max(0, value)) / most}`,
  );
  return (
    <>
      <line class="dots-axis" x1={PAD} x2={WIDTH - PAD} y1={height - PAD} y2={height - PAD} />
      <polyline class="dots-line" points={points.join(" ")} />
    </>
  );
}

function middle(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
