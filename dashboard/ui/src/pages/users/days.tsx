import { useApi } from "../../api";
import { gpuTime } from "../../format";
import { Bar } from "../../parts/bar";
import { Problem } from "../../parts/problem";
import { BY, type By, type DaySeries, type UsageDays } from "./shapes";

const TONES = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];

interface Props {
  query: { from: number; until: number; by: By; user: string | undefined };
  by: By;
}

/** GPU time of each day, those with most of it apart. */
export function Days({ query, by }: Props) {
  const days = useApi<UsageDays>("users/days", { ...query, apart: 7 });
  if (days.problem) return <Problem message={days.problem.message} retry={days.reload} />;
  const told = days.data;
  if (!told || told.days.length < 2) return null;
  const series = told.others ? [...told.series, told.others] : told.series;
  const sums = told.days.map((_, day) => series.reduce((sum, one) => sum + (one.gpu_us[day] ?? 0), 0));
  const most = Math.max(...sums);
  const word = BY.find(([name]) => name === by)?.[1].toLowerCase() ?? by;
  return (
    <section class="panel" aria-busy={days.loading}>
      <h2>GPU time by day and {word}</h2>
      <ul class="usage-keys">
        {series.map((one, n) => (
          <li key={one.name}>
            <span class={`swatch ${TONES[n]}`} />
            {titleOf(one)}
          </li>
        ))}
      </ul>
      <div class="table-room" tabIndex={0} role="group" aria-label="GPU time by day">
        <table class="table usage-days">
          <caption class="hidden">GPU time by day</caption>
          <thead>
            <tr>
              <th scope="col">Day</th>
              <th scope="col">
                <span class="hidden">Shares</span>
              </th>
              <th scope="col" class="number">
                GPU time
              </th>
            </tr>
          </thead>
          <tbody>
            {told.days.map((day, n) => (
              <tr key={day}>
                <th scope="row">{day}</th>
                <td class="shares">
                  <Bar
                    total={most}
                    label={said(series, n)}
                    parts={series.map((one, place) => ({
                      label: one.name,
                      value: one.gpu_us[n] ?? 0,
                      tone: TONES[place] ?? "s8",
                    }))}
                  />
                </td>
                <td class="number">{gpuTime(sums[n] ?? 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted small">Days of {told.zone} (scheduler.rhythm_zone).</p>
    </section>
  );
}

function titleOf(one: DaySeries): string {
  return one.title || one.name || "(none)";
}

function said(series: readonly DaySeries[], day: number): string {
  return series
    .filter((one) => (one.gpu_us[day] ?? 0) > 0)
    .map((one) => `${titleOf(one)} ${gpuTime(one.gpu_us[day] ?? 0)}`)
    .join(", ");
}
