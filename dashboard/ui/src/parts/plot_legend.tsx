import { when } from "../format";
import type { Series } from "./plot_make";

interface Props {
  label: string;
  at: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  moment?: (ms: number) => string;
  cursor: number | null;
  off: ReadonlySet<string>;
  onToggle: (label: string) => void;
}

/** The figures of a chart as a table: at the cursor, and the least and the most. */
export function PlotLegend({ label, at, series, format, moment = when, cursor, off, onToggle }: Props) {
  const last = at.length - 1;
  const index = cursor === null ? last : Math.min(cursor, last);
  const shown = at[index];
  const said = shown === undefined ? "" : moment(shown);
  return (
    <>
      <table class="legend">
        <caption class="hidden">{label}</caption>
        <thead>
          <tr>
            <th scope="col">
              <span class="muted small">{cursor === null ? `latest, ${said}` : said}</span>
            </th>
            <th scope="col" class="number muted small">
              {cursor === null ? "latest" : "then"}
            </th>
            <th scope="col" class="number muted small wide">
              least
            </th>
            <th scope="col" class="number muted small">
              most
            </th>
          </tr>
        </thead>
        <tbody>
          {series.map((one) => (
            <LegendRow key={one.label} one={one} index={index} format={format} off={off} onToggle={onToggle} />
          ))}
        </tbody>
      </table>
      <p class="hidden" aria-live="polite">
        {cursor !== null &&
          `${said}: ${series
            .filter((one) => !off.has(one.label))
            .map((one) => `${one.label} ${text(one.values[index], format)}`)
            .join(", ")}`}
      </p>
    </>
  );
}

interface RowProps {
  one: Series;
  index: number;
  format: (value: number) => string;
  off: ReadonlySet<string>;
  onToggle: (label: string) => void;
}

function LegendRow({ one, index, format, off, onToggle }: RowProps) {
  const shown = !off.has(one.label);
  const [least, most] = ends(one.values);
  return (
    <tr>
      <th scope="row">
        <button
          type="button"
          class={shown ? "legend-name" : "legend-name off"}
          aria-pressed={shown}
          title={one.hint ?? (shown ? "Hide this curve" : "Show this curve")}
          onClick={() => onToggle(one.label)}
        >
          <span class="swatch" style={{ background: `var(${one.colour})` }} aria-hidden="true" />
          {one.label}
        </button>
      </th>
      <td class="number">{text(one.values[index], format)}</td>
      <td class="number muted wide">{text(least, format)}</td>
      <td class="number muted">{text(most, format)}</td>
    </tr>
  );
}

function text(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}

function ends(values: ArrayLike<number | null>): [number | null, number | null] {
  let least: number | null = null;
  let most: number | null = null;
  for (let n = 0; n < values.length; n += 1) {
    const value = values[n];
    if (value === null || value === undefined) continue;
    if (least === null || value < least) least = value;
    if (most === null || value > most) most = value;
  }
  return [least, most];
}
