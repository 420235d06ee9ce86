// What the API says of usage (`dashboard/api/users_shapes.py`). Sums of bytes × time are larger than
// a number here is exact: they are shown rounded, and files have every digit.
export interface Used {
  gpu_us: number;
  byte_ms: number;
  cost_us: number;
  energy_mj: number;
  jobs: number;
  failed: number;
  wait_ms: number;
  wait_p50_ms: number | null;
  wait_p95_ms: number | null;
}

export interface UsageRow extends Used {
  name: string;
  title: string;
}

export interface Usage {
  from_ms: number;
  until_ms: number;
  by: By;
  count: number;
  rows: UsageRow[];
  total: Used;
  everybody: { gpu_us: number; jobs: number };
}

export interface DaySeries {
  name: string;
  title: string;
  gpu_us: number[];
  byte_ms: number[];
  energy_mj: number[];
  jobs: number[];
}

export interface UsageDays {
  zone: string;
  days: string[];
  series: DaySeries[];
  others_count: number;
  others: DaySeries | null;
}

export interface Budget {
  of: "user" | "group";
  name: string;
  used_us: number;
  soft_us: number | null;
  hard_us: number | null;
  state: "ok" | "soft" | "spent";
}

export interface Budgets {
  month: string;
  zone: string;
  budgets: Budget[];
}

export type By = "user" | "group" | "workflow" | "model" | "gpu";

export const BY: readonly [By, string][] = [
  ["user", "User"],
  ["group", "Group"],
  ["workflow", "Workflow"],
  ["model", "Model"],
  ["gpu", "GPU"],
];
