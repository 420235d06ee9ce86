// What api/v1/alerts answers (dashboard/api/alert_shapes.py). Figures are in `unit`.

export interface Where {
  job?: string;
  attempt?: number;
  node?: string;
  gpu?: string;
  worker?: string;
  agent?: string;
  /** Milliseconds since the epoch: when it happened. */
  from_ms?: number;
  until_ms?: number;
}

export interface Alert {
  id: string;
  rule: string;
  kind: string;
  severity: string;
  subject: string;
  user: string;
  group: string;
  text: string;
  unit: string;
  below: boolean;
  value: number;
  worst: number;
  limit: number;
  began_ms: number;
  since_ms: number;
  ended_ms: number | null;
  /** Why nobody is told: `silence:<id>`, `behind:<rule>`; "": somebody is. */
  muted: string;
  labels: Record<string, string>;
  where: Where;
}

export interface Pending {
  rule: string;
  subject: string;
  user: string;
  value: number;
  since_ms: number;
  fires_ms: number;
}

export interface AlertsNow {
  enabled: boolean;
  looked_ms: number | null;
  unwatched: boolean;
  now_ms: number;
  firing: Alert[];
  pending: Pending[];
}

export interface AlertsPast {
  from_ms: number;
  until_ms: number;
  alerts: Alert[];
  more: boolean;
}

export interface Rule {
  name: string;
  kind: string;
  about: string;
  severity: string;
  enabled: boolean;
  unit: string;
  below: boolean;
  limit: number;
  clear: number | null;
  lasts_seconds: number;
  /** Something that happens and is over: it is shown for so long. */
  happens: boolean;
  scope: string[];
  labels: Record<string, string>;
  /** Its figure that is nearest to the limit, for admins; null: there is none. */
  value: number | null;
  value_limit: number | null;
  subject: string;
  looked_ms: number | null;
  seen: number;
  pending: number;
  firing: number;
}

export interface Silence {
  id: string;
  rule: string;
  subject: string;
  from_ms: number;
  until_ms: number;
  by_user: string;
  why: string;
}

export interface Message {
  id: string;
  receiver: string;
  status: string;
  group: string;
  made_ms: number;
  next_ms: number;
  tries: number;
  done_ms: number | null;
  result: string;
  error: string;
}

export interface Messages {
  receivers: string[];
  messages: Message[];
}
