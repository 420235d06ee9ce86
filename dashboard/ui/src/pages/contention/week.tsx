import { useApi } from "../../api";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { setQuery, useRoute } from "../../router";
import { shade } from "./blocked";
import type { HourCell, Week } from "./shapes";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

interface Measure {
  name: string;
  title: string;
  unit: string;
  of: (cell: HourCell) => number | null;
  /** The whole scale, where there is one. */
  most?: number;
  show: (value: number) => string;
}

const rounded = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
const share = (value: number): string => `${Math.round(100 * value)}`;
const MEASURES: readonly Measure[] = [
  { name: "queued", title: "jobs waiting", unit: "jobs", of: (cell) => cell.queued, show: rounded },
  { name: "running", title: "jobs running", unit: "jobs", of: (cell) => cell.running, show: rounded },
  { name: "held", title: "memory held", unit: "%", of: (cell) => cell.held, most: 1, show: share },
  { name: "used", title: "utilisation", unit: "%", of: (cell) => cell.utilisation, most: 1, show: share },
];

/** What each hour of the week is like: means over four weeks. */
export function WeekMap() {
  const { query } = useRoute();
  const week = useApi<Week>("contention/week", {});
  const measure = MEASURES.find((one) => one.name === query.measure) ?? MEASURES[0];
  if (week.problem) return <Problem message={week.problem.message} retry={week.reload} />;
  const told = week.data;
  if (!told || !measure) return null;
  if (told.hours.length === 0) {
    return <Empty title="There are no whole hours yet">Each hour is added up when it is over.</Empty>;
  }
  return (
    <section class="panel">
      <h2>
        <label>
          The last four weeks by{" "}
          <select
            value={measure.name}
            onChange={(event) => setQuery({ measure: event.currentTarget.value })}
          >
            {MEASURES.map((one) => (
              <option key={one.name} value={one.name}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
      </h2>
      <Map told={told} measure={measure} />
      <p class="muted small">
        Hours of {told.zone} (scheduler.rhythm_zone), means in {measure.unit}. An hour with a dash was not
        recorded.
      </p>
    </section>
  );
}

function Map({ told, measure }: { told: Week; measure: Measure }) {
  const cells = new globalThis.Map(told.hours.map((cell) => [cell.weekday * 24 + cell.hour, measure.of(cell)]));
  const known = [...cells.values()].filter((value): value is number => value !== null);
  const most = measure.most ?? Math.max(...known, 1);
  return (
    <div class="table-room" tabIndex={0} role="group" aria-label="Week by hour">
      <table class="heat week">
        <caption class="hidden">
          Mean {measure.title} ({measure.unit}) by weekday and hour
        </caption>
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden">Day</span>
            </th>
            {Array.from({ length: 24 }, (_, hour) => (
              <th key={hour} scope="col">
                {hour}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {DAYS.map((day, weekday) => (
            <tr key={day}>
              <th scope="row" aria-label={day}>
                {day.slice(0, 3)}
              </th>
              {Array.from({ length: 24 }, (_, hour) => {
                const value = cells.get(weekday * 24 + hour) ?? null;
                return (
                  <td key={hour} class={value === null ? "unknown" : ""} style={shade((value ?? 0) / most)}>
                    {value === null ? "–" : measure.show(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
