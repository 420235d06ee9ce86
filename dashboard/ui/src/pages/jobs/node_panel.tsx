import { useState } from "preact/hooks";
import { useApi, useSource } from "../../api";
import { bytes, count, took, when } from "../../format";
import { Chip } from "../../parts/chip";
import { Problem } from "../../parts/problem";
import { setQuery } from "../../router";
import { NodeHistory } from "./node_history";
import { Files } from "./outputs";
import type { JobLine, NodeBar, NodeDetail } from "./types";
import { fellBack, FALLBACKS, nodeName, nodeState, slowness } from "./words";

interface Props {
  job: JobLine;
  attempt: number;
  bar: NodeBar;
  running: boolean;
}

/** A chosen node: what it was given and gave, what it took, and how usual that is. */
export function NodePanel({ job, attempt, bar, running }: Props) {
  const path = bar.reached ? `jobs/${encodeURIComponent(job.id)}/node` : null;
  const { data: told, problem, reload } = useApi<NodeDetail>(path, { node: bar.node, attempt });
  // until another node's answer is there, the one before has its own
  const data = told?.bar.node === bar.node ? told : null;
  return (
    <article class="node" aria-labelledby="node" aria-live="polite">
      <header class="node-head">
        <h3 id="node">{nodeName(bar)}</h3>
        <span class="muted">
          {bar.title && bar.title !== bar.class_type && `${bar.class_type}, `}node {bar.node}
          {bar.display && bar.display !== bar.node && `, made by node ${bar.display}`}
        </span>
        <Chip tone={bar.state === "failed" ? "bad" : bar.state === "done" ? "good" : "plain"}>
          {nodeState(bar, running)}
        </Chip>
        {bar.slow.length > 0 && <Chip tone="bad">▲ {slowness(bar)}</Chip>}
        {bar.fallback && <Chip tone="bad">{fellBack(bar.fallback)}</Chip>}
        <button type="button" class="quiet" onClick={() => setQuery({ node: null })}>
          Close
        </button>
      </header>
      {!bar.reached && <p class="empty">{unreached(bar, running)}</p>}
      {bar.fallback && <p class="problem">{FALLBACKS[bar.fallback] ?? bar.fallback}</p>}
      {bar.error && <p class="problem">It raised {bar.error}.</p>}
      {problem && <Problem message={problem.message} retry={reload} />}
      {bar.reached && <Figures bar={bar} />}
      {data && (
        <div class="node-parts">
          <Values title="Parameters" values={data.inputs} empty="The probe told of no inputs." />
          <Values title="Gave" values={data.results} empty="The probe told of no outputs." />
          {data.files.length > 0 && (
            <section>
              <h4>Files</h4>
              <Files files={data.files} />
            </section>
          )}
          {data.picture && <Picture key={bar.node} job={job} attempt={attempt} bar={bar} />}
          <NodeHistory job={job} bar={bar} detail={data} />
        </div>
      )}
    </article>
  );
}

/** What it handed on, small, as the probe saw it; gone after the worker's restart. */
function Picture({ job, attempt, bar }: Omit<Props, "running">) {
  const source = useSource();
  const [gone, lose] = useState(false);
  const address = source.url(`jobs/${encodeURIComponent(job.id)}/picture`, { node: bar.node, attempt });
  if (!address) return null;
  return (
    <section>
      <h4>Preview</h4>
      {gone ? (
        <p class="empty">The probe keeps few pictures, and this one no more.</p>
      ) : (
        <img class="capture" src={address} alt={`What ${nodeName(bar)} gave`} onError={() => lose(true)} />
      )}
    </section>
  );
}

function unreached(bar: NodeBar, running: boolean): string {
  if (bar.state === "cached") return "It was handed over from the cache without being asked for again.";
  return running ? "Nothing is known of it yet." : "The job ended before it came to this node.";
}

function Figures({ bar }: { bar: NodeBar }) {
  const rows: [string, string | null][] = [
    ["Began", when(bar.started_ms)],
    ["Took", bar.state === "cached" ? "nothing, it was cached" : took(bar.seconds)],
    ["of which loading models", bar.load_seconds > 0 ? took(bar.load_seconds) : null],
    ["Calls", bar.calls > 1 ? count(bar.calls, "call") : null],
    ["Memory at its peak", bar.peak_bytes === null ? null : bytes(bar.peak_bytes)],
    ["Memory before and after", beforeAfter(bar)],
    ["Size of what it gave", bar.out_bytes === null ? null : bytes(bar.out_bytes)],
  ];
  return (
    <dl class="figures">
      {rows.map(
        ([name, value]) =>
          value !== null && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

function beforeAfter({ before_bytes: before, after_bytes: after }: NodeBar): string | null {
  return before === null || after === null ? null : `${bytes(before)} → ${bytes(after)}`;
}

/** Names and values as the probe told them: texts are redacted, tensors are shapes. */
function Values({ title, values, empty }: { title: string; values: Record<string, unknown>; empty: string }) {
  const entries = Object.entries(values);
  return (
    <section>
      <h4>{title}</h4>
      {entries.length === 0 ? (
        <p class="empty">{empty}</p>
      ) : (
        <table class="values">
          <tbody>
            {entries.map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="mono">{shape(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** A value of a node in one line: `float16 [1, 4, 128, 128]`, `20`. */
export function shape(value: unknown): string {
  if (Array.isArray(value)) return value.map(shape).join(", ");
  if (value !== null && typeof value === "object") {
    const tensor = value as { shape?: unknown; dtype?: unknown };
    if (Array.isArray(tensor.shape)) {
      return `${typeof tensor.dtype === "string" ? `${tensor.dtype} ` : ""}[${tensor.shape.join(", ")}]`;
    }
    return JSON.stringify(value);
  }
  return value === null || value === undefined ? "–" : String(value);
}
