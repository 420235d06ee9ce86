// What `GET api/v1/queue` answers (dashboard/api/queue_shapes.py).

export interface Blocker {
  kind: string;
  id: string;
  name: string;
}

export interface QueuedJob {
  id: string;
  prompt_id: string;
  user: string;
  group: string;
  state: string;
  lane: string;
  held: boolean;
  place: number | null;
  own_place: number | null;
  wait_reason: string;
  wait_detail: string;
  blocker: Blocker | null;
  worker: string;
  gpu: string;
  submitted_ms: number;
  started_ms: number;
  start_p50_ms: number;
  start_p90_ms: number;
  bytes: number;
  need_seconds: number;
  attempt: number;
}

export interface Counted {
  name: string;
  jobs: number;
}

export interface QueueList {
  now_ms: number;
  matching: number;
  jobs_seen: number;
  waiting: number;
  running: number;
  start: number;
  jobs: QueuedJob[];
  users: Counted[];
  reasons: Counted[];
  lanes: Counted[];
}
