// What the API tells of workflows (dashboard/api/workflow_shapes.py).
import type { JobLine } from "../jobs/types";

export interface WorkflowLine {
  workflow: { fingerprint: string; name: string };
  model: string;
  jobs: number;
  failed: number;
  users: number;
  gpu_seconds: number;
  wait_seconds: number;
  last_ms: number;
}

export interface WorkflowList {
  from_ms: number;
  until_ms: number;
  workflows: WorkflowLine[];
}

export interface Learned {
  runs: number;
  learned_ms: number;
  need_bytes: number;
  usual_bytes: number;
  run_seconds: number;
  late_seconds: number;
  load_seconds: number;
  floor_bytes: number;
  needed_bytes: number;
  too_small_bytes: number;
  whole_ooms: number;
  curve: { bytes: number; seconds: number; measured: boolean; runs: number }[];
}

export interface Errors {
  runs: number;
  under: number;
  median: number | null;
  edges: number[];
  classes: number[];
}

export interface NodeLine {
  class_type: string;
  runs: number;
  cached: number;
  failures: number;
  fallbacks: number;
  seconds: number;
  longest: number;
  peak_bytes: number;
}

export interface FailingLine {
  node: string;
  class_type: string;
  error: string;
  failures: number;
  last_ms: number;
  job: string;
}

export interface WorkflowDetail {
  from_ms: number;
  until_ms: number;
  workflow: { fingerprint: string; name: string };
  days: { at_ms: number; jobs: number; failed: number; gpu_seconds: number }[];
  nodes: NodeLine[];
  failing: FailingLine[];
  learned: Learned | null;
  byte_errors: Errors;
  second_errors: Errors;
  runs: JobLine[];
}
