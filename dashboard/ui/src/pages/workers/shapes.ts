/** As `GET api/v1/upkeep` tells it. */
export interface WorkerUpkeep {
  id: string;
  agent: string;
  gpu: string;
  state: string;
  detail: string;
  busy: boolean;
  drained: boolean;
  host_drained: boolean;
  restart: string;
}

export interface Rolling {
  running: boolean;
  by: string;
  done: string[];
  current: string;
  left: string[];
  error: string;
}

export interface Upkeep {
  workers: WorkerUpkeep[];
  rolling: Rolling | null;
}
