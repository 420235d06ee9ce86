// One GPU's memory over time as layers: history from the store, and after it what is live.
import type { Curve, Holder } from "../../live_curves";
import { inOrder } from "../../order";
import type { Gap, Series } from "../../parts/plot";
import type { GpuHistory, Values } from "./shapes";

const GIB = 2 ** 30;
const COLOURS = 7;
const IDLE = "idle";
/** What the server calls everybody else, to who is no admin. */
const OTHERS = "others";

/** Layers for what holds memory, for each worker, or for each user. */
export type By = "kind" | "worker" | "user";

export interface Layers {
  at: number[];
  series: Series[];
  gaps: readonly Gap[];
}

interface Layer {
  label: string;
  colour: string;
  bytes: Values;
}

const KINDS: [string, string, string][] = [
  ["foreign_bytes", "Foreign", "--foreign"],
  ["resident_bytes", "Resident", "--resident"],
  ["reserved_bytes", "Reserved", "--reserved"],
];

/** All names that layers can have, so that one has the same colour on every GPU. */
export function namesOf(curves: readonly { holders: readonly Holder[] }[], by: By): string[] {
  const names = new Set(curves.flatMap(({ holders }) => holders.map((one) => nameOf(one, by))));
  return [...names].filter((name) => name !== IDLE && name !== OTHERS).sort(inOrder);
}

/** Memory by kind, worker or user; `live` goes on where the history ends. */
export function layersOf(past: GpuHistory | null, live: Curve | null, by: By, all: readonly string[]): Layers {
  const history = past ?? { at_ms: [], columns: {}, gaps: [], holders: [] };
  const last = history.at_ms[history.at_ms.length - 1] ?? 0;
  const from = live ? live.at_ms.findIndex((at) => at > last) : -1;
  const tail = live && from >= 0 ? cut(live, from) : null;
  const at = [...history.at_ms, ...(tail?.at_ms ?? [])];
  const layers = by === "kind" ? kinds(history, tail) : holders(history, tail, by, all);
  const gaps = tail ? history.gaps.filter(([, until]) => until < last) : history.gaps;
  const broken = breaks(at, gaps);
  return {
    at: broken.at,
    gaps,
    series: layers.map(({ label, colour, bytes }) => ({
      label,
      colour,
      stepped: true,
      values: broken.put(bytes),
    })),
  };
}

function cut(curve: Curve, from: number): Curve {
  return {
    at_ms: curve.at_ms.slice(from),
    foreign_bytes: curve.foreign_bytes.slice(from),
    resident_bytes: curve.resident_bytes.slice(from),
    reserved_bytes: curve.reserved_bytes.slice(from),
    free_bytes: curve.free_bytes.slice(from),
    holders: curve.holders.map((one) => ({ ...one, bytes: one.bytes.slice(from) })),
  };
}

function kinds(past: GpuHistory, tail: Curve | null): Layer[] {
  return KINDS.map(([name, label, colour]) => ({
    label,
    colour,
    bytes: [...(past.columns[name] ?? []), ...(tail?.[name as "foreign_bytes"] ?? [])],
  }));
}

function nameOf(one: Holder, by: By): string {
  return by === "worker" ? one.worker : one.user || IDLE;
}

function holders(past: GpuHistory, tail: Curve | null, by: By, all: readonly string[]): Layer[] {
  const length = past.at_ms.length;
  const total = length + (tail?.at_ms.length ?? 0);
  const sums = new Map<string, number[]>();
  const add = (some: readonly Holder[], offset: number): void => {
    for (const one of some) {
      const name = nameOf(one, by);
      const column = sums.get(name) ?? new Array<number>(total).fill(0);
      sums.set(name, column);
      for (let n = 0; n < one.bytes.length; n += 1) {
        column[offset + n] = (column[offset + n] ?? 0) + (one.bytes[n] ?? 0);
      }
    }
  };
  add(past.holders, 0);
  if (tail) add(tail.holders, length);
  const foreign = [...(past.columns.foreign_bytes ?? []), ...(tail?.foreign_bytes ?? [])];
  const names = [...sums.keys()].sort(inOrder);
  return [
    { label: "Foreign", colour: "--foreign", bytes: foreign },
    ...names.map((name) => ({ label: name, colour: colourOf(name, all), bytes: sums.get(name) ?? [] })),
  ];
}

function colourOf(name: string, all: readonly string[]): string {
  if (name === IDLE) return "--resident";
  if (name === OTHERS) return "--s8";
  return `--s${1 + (Math.max(0, all.indexOf(name)) % COLOURS)}`;
}

/** Moments with a null where a gap begins, so that nothing is drawn across it. */
export function breaks(at: number[], gaps: readonly Gap[]): { at: number[]; put: (values: Values) => Values } {
  const places = gaps
    .map(([from]) => [at.findIndex((one) => one >= from), from] as const)
    .filter(([place]) => place > 0)
    .sort(([a], [b]) => b - a);
  if (places.length === 0) return { at, put: toGib };
  const broken = [...at];
  for (const [place, from] of places) broken.splice(place, 0, from);
  return {
    at: broken,
    put: (values) => {
      const spaced = toGib(values);
      for (const [place] of places) spaced.splice(place, 0, null);
      return spaced;
    },
  };
}

function toGib(values: Values): Values {
  return values.map((bytes) => (bytes === null ? null : bytes / GIB));
}
