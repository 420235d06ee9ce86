import type uPlot from "uplot";

/**
 * Where a stepped layer is filled. Only changes are drawn: a layer that stays as it is, or is not
 * there, costs nothing, and most do most of the time. Of changes within one pixel the highest is
 * drawn, a pixel wide: a path has no more steps than the chart has pixels, and no spike is lost.
 */
export function stairs(plot: uPlot, index: number, first: number, last: number): uPlot.Series.Paths {
  const times = plot.data[0];
  const values = plot.data[index] as (number | null)[];
  const { min = 0 } = plot.scales.y ?? {};
  const steps = new Steps(Math.round(plot.valToPos(min ?? 0, "y", true)));
  for (let n = first; n <= last; n += 1) {
    const value = values[n];
    const height = value === null || value === undefined ? null : Math.round(plot.valToPos(value, "y", true));
    if (height === steps.height) continue;
    steps.change(Math.round(plot.valToPos(times[n] ?? 0, "x", true)), height);
  }
  const path = steps.end(Math.round(plot.valToPos(times[last] ?? 0, "x", true)));
  return { stroke: path, fill: path, flags: 1 };
}

/** The outline of what is filled, step by step; all in pixels, less is higher, null is a gap. */
class Steps {
  /** The newest. */
  height: number | null = null;
  private path = new Path2D();
  private at = Number.NEGATIVE_INFINITY;
  /** The highest that began at `at`. */
  private top: number | null = null;
  private drawn: number | null = null;

  constructor(private floor: number) {}

  change(x: number, height: number | null): void {
    if (x > this.at) {
      this.flush(x);
      this.at = x;
      this.top = height;
    } else if (height !== null && (this.top === null || height < this.top)) {
      this.top = height;
    }
    this.height = height;
  }

  end(x: number): Path2D {
    this.flush(x);
    if (this.drawn !== null) {
      // what came within the last pixel is drawn, too
      const right = Math.max(x, this.at + 1);
      this.path.lineTo(right, this.drawn);
      this.path.lineTo(right, this.floor);
    }
    return this.path;
  }

  /** Draw what began before `x`. */
  private flush(x: number): void {
    this.step(this.at, this.top);
    if (x > this.at + 1) this.step(this.at + 1, this.height);
  }

  private step(x: number, height: number | null): void {
    if (height === this.drawn) return;
    if (this.drawn !== null) this.path.lineTo(x, this.drawn);
    if (height === null) this.path.lineTo(x, this.floor);
    else if (this.drawn === null) this.path.moveTo(x, this.floor);
    if (height !== null) this.path.lineTo(x, height);
    this.drawn = height;
  }
}
