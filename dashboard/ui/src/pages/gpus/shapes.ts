// What `GET api/v1/samples/gpus` answers (dashboard/api/samples_shapes.py).
import type { Holder } from "../../live_curves";
import type { Gap } from "../../parts/plot";

export type Values = (number | null)[];

export interface GpuHistory {
  at_ms: number[];
  columns: Record<string, Values>;
  gaps: Gap[];
  holders: Holder[];
}

export interface GpuHistories {
  from_ms: number;
  until_ms: number;
  step_s: number;
  gpus: Record<string, GpuHistory>;
}
