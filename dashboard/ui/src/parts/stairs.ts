import type uPlot from "uplot";

/**
 * Where a stepped layer is filled. Only changes are drawn: a layer that stays as it is, or is not
 * there, costs nothing, and most do most of the time.
 */
export function stairs(plot: uPlot, index: number, first: number, last: number): uPlot.Series.Paths {
  const times = plot.data[0];
  const values = plot.data[index] as (number | null)[];
  const path = new Path2D();
  const { min = 0 } = plot.scales.y ?? {};
  const floor = Math.round(plot.valToPos(min ?? 0, "y", true));
  let height: number | null = null;
  for (let n = first; n <= last; n += 1) {
    const value = values[n];
    const next = value === null || value === undefined ? null : Math.round(plot.valToPos(value, "y", true));
    if (next === height) continue;
    const x = Math.round(plot.valToPos(times[n] ?? 0, "x", true));
    if (height !== null) path.lineTo(x, height);
    if (next === null) path.lineTo(x, floor);
    if (next !== null && height === null) path.moveTo(x, floor);
    if (next !== null) path.lineTo(x, next);
    height = next;
  }
  if (height !== null) {
    const end = Math.round(plot.valToPos(times[last] ?? 0, "x", true));
    path.lineTo(end, height);
    path.lineTo(end, floor);
  }
  return { stroke: path, fill: path, flags: 1 };
}
