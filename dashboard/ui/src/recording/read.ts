// Reads a `.perf.json` that anybody may have made: whole and right, or refused in words.
import { check, type Schema } from "./check";
import schema from "./perf.schema.json";
import type { Perf } from "./types";

export type Read = { ok: true; perf: Perf } | { ok: false; problem: string };

/** The version that is read: every minor one of it. */
const MAJOR = 1;
const MOST_BYTES = 256 * 2 ** 20;
const LISTS = [
  "gpus", "workers", "jobs", "runs", "nodes", "moves", "memory", "samples", "queue", "waits",
  "usage", "alerts", "advice", "gaps", "troubles", "left_out",
] as const;

/** A file that somebody chose or dropped; it stays in this browser. */
export async function readFile(file: Blob): Promise<Read> {
  if (file.size > MOST_BYTES) {
    return refused(`It has ${Math.round(file.size / 2 ** 20)} MiB; at most 256 MiB are read. Record a shorter span.`);
  }
  return read(await file.text());
}

/** The text of a file. */
export function read(text: string): Read {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    return refused(`It is no JSON: ${error instanceof Error ? error.message : error}. Was it cut off on its way?`);
  }
  return checkedHead(found) ?? checkedBody(found);
}

function checkedHead(found: unknown): Read | null {
  const head = (typeof found === "object" && found !== null ? found : {}) as { format?: unknown; version?: unknown };
  if ("traceEvents" in head) return refused("It is a Chrome trace: open it on ui.perfetto.dev. Here goes the .perf.json itself.");
  if (head.format !== "vramgate.perf") return refused('It does not say "format": "vramgate.perf": it is no recording of vramgate.');
  const version = typeof head.version === "string" ? /^(\d{1,6})\.\d{1,6}$/.exec(head.version) : null;
  if (!version) return refused('Its "version" is none. Write it anew, with `vramgate record`.');
  if (Number(version[1]) > MAJOR) {
    return refused(`It has version ${head.version}, and this page reads ${MAJOR}.x: update vramgate to see it.`);
  }
  if (Number(version[1]) < MAJOR) return refused(`It has version ${head.version}, older than ${MAJOR}.0. Write it anew.`);
  return null;
}

function checkedBody(found: unknown): Read {
  const problem = check(found, schema as Schema) ?? uneven(found as Perf);
  if (problem) return refused(`It is broken: ${problem}.`);
  const empty = Object.fromEntries(LISTS.map((name) => [name, []]));
  return { ok: true, perf: { ...empty, ...(found as object) } as unknown as Perf };
}

/** Columns of one piece that are not equally long. */
function uneven(perf: Perf): string | null {
  for (const name of ["memory", "samples", "queue"] as const) {
    for (const [n, piece] of (perf[name] ?? []).entries()) {
      const length = piece.at_ms.length;
      for (const [column, values] of Object.entries(piece)) {
        const optional = !required(name, column);
        if (Array.isArray(values) && values.length !== length && !(optional && values.length === 0)) {
          return `$.${name}[${n}].${column} has ${values.length} entries, and at_ms ${length}`;
        }
      }
    }
  }
  return null;
}

const PIECES = { memory: "Memory", samples: "Samples", queue: "Queue" } as const;

function required(name: keyof typeof PIECES, column: string): boolean {
  const definition = (schema as Schema).$defs?.[PIECES[name]];
  return !!definition?.required?.includes(column) || !definition?.properties?.[column];
}

function refused(problem: string): Read {
  return { ok: false, problem };
}
