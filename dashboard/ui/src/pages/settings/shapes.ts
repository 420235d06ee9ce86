/** As `GET api/v1/limits` tells it. */
export interface LimitValue {
  path: string;
  field: string;
  value: unknown;
  base: unknown;
  origin: string;
  changed: { by: string; at_ms: number } | null;
}

export interface LimitsOf {
  name: string;
  group: string;
  role: string;
  limits: LimitValue[];
}

export interface Field {
  words: string;
  help: string;
  default: unknown;
}

export interface Limits {
  revision: number;
  pool: LimitsOf;
  groups: LimitsOf[];
  users: LimitsOf[];
  fields: Record<string, Field>;
}

export interface Change {
  at_ms: number;
  by: string;
  path: string;
  before: unknown;
  after: unknown;
  reset: boolean;
  revision: number;
}

export interface Changes {
  changes: Change[];
  next: string | null;
}

/** What a setting is: those of users and groups go by field, the pool's by path. */
export function fieldOf(limit: LimitValue, fields: Record<string, Field>): Field {
  return fields[limit.path] ?? fields[limit.field] ?? { words: "text", help: "", default: null };
}
