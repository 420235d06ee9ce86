import { bytes, duration, gib, percent, shortId, took } from "../format";
import { Bar } from "../parts/bar";
import { Chip } from "../parts/chip";
import { at } from "./intervals";
import { type GpuTrack, type Model, nodeEnd, runBegin, valueAt, type WorkerTrack } from "./model";
import type { Chosen } from "./timeline";
import type { Node, Tensor, Value } from "./types";

/** What was at the cursor, in words and figures. */
export function Moment({ model, cursor }: { model: Model; cursor: number }) {
  const ms = model.fromMs + cursor;
  const queued = valueAt(model.queue, "queued", ms);
  const running = valueAt(model.queue, "running", ms);
  const gpus = model.gpus.filter((gpu) => gpu.id || gpu.workers.length > 0);
  return (
    <section class="moment" aria-label="At the cursor">
      <p>
        <strong>{new Date(ms).toLocaleString("en-GB")}</strong>{" "}
        <span class="muted">{took(cursor / 1000)} after the begin</span>
        {model.queue && (
          <span class="detail">
            {queued === null ? "Nothing is known of the queue then." : `${count(queued)} waiting, ${count(running ?? 0)} running`}
          </span>
        )}
      </p>
      {gpus.map((gpu) => (
        <GpuMoment key={gpu.id} gpu={gpu} ms={ms} />
      ))}
    </section>
  );
}

// A mean of a step need not be whole.
function count(n: number): string {
  return Number.isInteger(n) ? String(n) : n.toFixed(1);
}

function GpuMoment({ gpu, ms }: { gpu: GpuTrack; ms: number }) {
  const reserved = valueAt(gpu.curve, "reserved_bytes", ms);
  const parts = (["foreign", "resident", "reserved"] as const).map((name) => ({
    label: name,
    tone: name,
    value: valueAt(gpu.curve, `${name}_bytes`, ms) ?? 0,
  }));
  const held = parts.reduce((sum, part) => sum + part.value, 0);
  const words = parts.map((part) => `${part.label} ${gib(part.value)}`).join(", ");
  return (
    <div class="moment-gpu">
      <h3>{gpu.id ? `GPU ${gpu.id}` : "No GPU"}</h3>
      {gpu.curve &&
        (reserved === null ? (
          <p class="muted small">Nothing is known of its memory then.</p>
        ) : (
          <>
            <Bar parts={parts} total={gpu.totalBytes || held} label={`Memory: ${words}`} />
            <p class="small muted">
              {gib(held)} of {gib(gpu.totalBytes || held)} held ({percent(held, gpu.totalBytes || held)}): {words}
            </p>
          </>
        ))}
      <ul class="moment-workers">
        {gpu.workers.map((worker) => (
          <WorkerMoment key={worker.id} worker={worker} ms={ms} />
        ))}
      </ul>
    </div>
  );
}

function WorkerMoment({ worker, ms }: { worker: WorkerTrack; ms: number }) {
  const run = worker.runs.map((lane) => at(lane, ms)).find(Boolean);
  const nodes = worker.nodes.map((lane) => at(lane, ms)).filter((node): node is Node => !!node && nodeEnd(node) >= ms);
  const move = worker.moves.map((lane) => at(lane, ms)).find(Boolean);
  const reserved = valueAt(worker.memory, "reserved", ms);
  return (
    <li>
      <span class="mono">{worker.id}</span>{" "}
      {run ? (
        <>
          {run.user} <span title={run.job}>{shortId(run.job)}</span> for {took(Math.max(0, ms - runBegin(run)) / 1000)}
        </>
      ) : (
        <span class="muted">idle</span>
      )}
      {nodes.map((node) => (
        <span key={node.node} class="detail">
          {node.class} <Chip tone={tone(node)}>{took(node.seconds)}{node.fallback ? `, fell back: ${node.fallback}` : ""}</Chip>
        </span>
      ))}
      {move && <span class="detail">{move.what === "load" ? "loads" : "unloads"} {move.model}</span>}
      {reserved !== null && <span class="detail">torch: {bytes(reserved)} reserved</span>}
    </li>
  );
}

function tone(node: Node): "bad" | "warn" | "plain" {
  return node.error ? "bad" : node.fallback ? "warn" : "plain";
}

/** Everything about what was clicked. */
export function Details({ chosen, onClose }: { chosen: Chosen; onClose: () => void }) {
  const rows = facts(chosen).filter(([, value]) => value !== "");
  return (
    <section class="panel details" aria-label="Chosen">
      <div class="details-head">
        <h3>{titleOf(chosen)}</h3>
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      </div>
      <dl class="moment-facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function titleOf(chosen: Chosen): string {
  if (chosen.kind === "node") return chosen.item.class;
  if (chosen.kind === "move") return `${chosen.item.what} ${chosen.item.model ?? ""}`;
  return `Job ${chosen.item.job}`;
}

function facts(chosen: Chosen): [string, string][] {
  if (chosen.kind === "node") return nodeFacts(chosen.item);
  if (chosen.kind === "move") {
    const { item } = chosen;
    return [
      ["took", took(item.seconds ?? 0)],
      ["size", bytes(item.bytes ?? 0)],
      ["on the device", bytes(item.loaded_bytes ?? 0)],
    ];
  }
  const { item } = chosen;
  return [
    ["user", item.user ?? ""],
    ["attempt", String(item.attempt ?? 1)],
    ["ran for", item.seconds ? took(item.seconds) : duration(((item.ended_ms ?? 0) - runBegin(item)) / 1000)],
    ["ended", [item.state, item.reason].filter(Boolean).join(": ")],
    ["reserved", size(item.reserved_bytes)],
    ["torch at most", size(item.peak_reserved)],
    ["loading models", item.load_seconds ? took(item.load_seconds) : ""],
  ];
}

function nodeFacts(node: Node): [string, string][] {
  const values = (told: Record<string, Value> | undefined): [string, string][] =>
    Object.entries(told ?? {}).map(([name, value]) => [name, said(value)]);
  return [
    ["took", node.cached ? "nothing: from the cache" : took(node.seconds)],
    ["node", node.node],
    ["job", shortId(node.job)],
    ["calls", (node.calls ?? 1) > 1 ? String(node.calls) : ""],
    ["fell back", node.fallback ?? ""],
    ["error", node.error ?? ""],
    ["memory before", size(node.before_bytes)],
    ["memory at most", size(node.peak_bytes)],
    ["memory after", size(node.after_bytes)],
    ["output", size(node.out_bytes)],
    ...values(node.inputs),
    ...values(node.outputs),
  ];
}

function size(n: number | null | undefined): string {
  return n === null || n === undefined ? "" : bytes(n);
}

function said(value: Value): string {
  if (Array.isArray(value)) return value.map(tensor).join(", ");
  return typeof value === "object" && value !== null ? tensor(value) : String(value);
}

function tensor(one: Tensor): string {
  return `${one.shape.join(" × ")} ${one.dtype ?? ""}`.trim();
}
