// What `api/v1/advice` answers (dashboard/api/advice_shapes.py).

export interface Gain {
  what: "gpu_time" | "waiting" | "memory" | "spare";
  expected: number;
  low: number;
  high: number;
}

export interface Effect {
  value: number;
  low: number;
  high: number;
  unit: string;
}

export interface Chart {
  title: string;
  unit: string;
  rows: { name: string; values: number[] }[];
  line: boolean;
}

export interface Advice {
  id: string;
  kind: string;
  since_ms: number;
  found_ms: number;
  ended_ms: number | null;
  title: string;
  cause: string;
  remedies: string[];
  gain: Gain;
  effect: Effect;
  proof: { test: string; p_value: number; shown: number; compared: number };
  figures: { name: string; value: number; unit: string }[];
  charts: Chart[];
  jobs: { job: string; user: string; at_ms: number; note: string }[];
  about: {
    fingerprints: string[];
    classes: string[];
    models: string[];
    gpus: string[];
    workers: string[];
  };
  users: string[];
  others: number;
  dismissed: boolean;
  dismissal: { by: string; at_ms: number; why: string } | null;
}

export interface AdviceList {
  advice: Advice[];
  total: number;
  open: number;
  dismissed: number;
  ended: number;
  level: number;
  done_ms: number | null;
  asked: boolean;
}
