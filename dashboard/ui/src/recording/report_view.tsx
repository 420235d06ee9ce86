import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { bytes, duration, energy, gib, gpuTime, percent, reason, shortId, took, when } from "../format";
import { Chip } from "../parts/chip";
import { Empty } from "../parts/empty";
import { Plot } from "../parts/plot";
import { type Column, Table } from "../parts/table";
import { Words } from "../parts/words";
import type { View } from "./draw";
import { LeftOut } from "./left_out";
import { type GpuTrack, type Model, model as modelOf, runBegin } from "./model";
import { Details, Moment } from "./moment";
import { type ClassTime, classes, type SlowNode, slowest, summary } from "./summary";
import { type Chosen, Timeline } from "./timeline";
import type { Alert, Node, Perf, Usage, Wait } from "./types";

const GIB = 2 ** 30;
const SLOWEST = 20;

/** A recording as a page to read: sums first, then where the time went, then all of it. */
export function Report({ perf, theme }: { perf: Perf; theme: ComponentChildren }) {
  const model = useMemo(() => modelOf(perf), [perf]);
  const [view, setView] = useState<View>({ fromMs: 0, untilMs: model.untilMs - model.fromMs });
  const [cursor, setCursor] = useState(() => firstRun(model));
  const [chosen, choose] = useState<Chosen | null>(null);
  return (
    <>
      <Head perf={perf} theme={theme} />
      <Totals perf={perf} />
      <Wrong perf={perf} />
      <Advised perf={perf} />
      <div class="panels">
        <Slow perf={perf} />
        <div class="stack">
          <Users perf={perf} />
          <Waits perf={perf} />
        </div>
      </div>
      <Curves model={model} />
      <section class="panel stack">
        <h2>Timeline</h2>
        <Timeline
          model={model}
          label="Timeline of the whole time"
          cursor={cursor}
          onCursor={setCursor}
          view={view}
          onView={setView}
          chosen={chosen}
          onChoose={choose}
        />
        <p class="small muted">Click sets the cursor and chooses; pull to move; Ctrl and wheel, or + and −, zoom; 0 shows all.</p>
        {chosen && <Details chosen={chosen} onClose={() => choose(null)} />}
        <Moment model={model} cursor={cursor} />
      </section>
    </>
  );
}

/** When the first job began: before it there is nothing to see. */
function firstRun(model: Model): number {
  const begins = model.perf.runs.map(runBegin).filter((ms) => ms >= model.fromMs);
  return begins.length ? Math.min(...begins.slice(0, 1000)) - model.fromMs : 0;
}

function Head({ perf, theme }: { perf: Perf; theme: ComponentChildren }) {
  const { about, span } = perf;
  const names = about.redacted ? "People, groups and models have made-up names." : "Names are the true ones.";
  return (
    <header class="stack">
      <div class="details-head">
        <h1>vramgate report{about.own ? ", one user's work" : ""}</h1>
        {theme}
      </div>
      <p>
        {when(span.from_ms, 0)} to {when(span.until_ms, 0)} <span class="muted">({duration((span.until_ms - span.from_ms) / 1000)})</span>
        <span class="detail">
          Written {when(about.written_ms, 0)} by {about.writer}. {names} No text of a prompt is in it, and it fetches nothing.
        </span>
      </p>
      <LeftOut perf={perf} />
    </header>
  );
}

function Totals({ perf }: { perf: Perf }) {
  const found = useMemo(() => summary(perf), [perf]);
  const share = (value: number | null): string => (value === null ? "–" : percent(value, 1));
  return (
    <dl class="totals panel">
      <Figure name="Jobs" value={found.jobs.toLocaleString("en")} note={found.cancelled ? `${found.cancelled} cancelled` : ""} />
      <Figure name="Failed" value={found.failed.toLocaleString("en")} note={found.ooms ? `${found.ooms} × out of memory` : ""} />
      <Figure name="Mean wait" value={found.waitMean === null ? "–" : took(found.waitMean)} />
      <Figure name="19 of 20 waited less than" value={found.waitLate === null ? "–" : took(found.waitLate)} />
      {found.busy !== null && <Figure name="GPUs at work" value={share(found.busy)} />}
      <Figure name="Memory held" value={share(found.held)} note={(found.unknown ?? 0) > 0.01 ? `${share(found.unknown)} not known` : ""} />
    </dl>
  );
}

function Figure({ name, value, note = "" }: { name: string; value: string; note?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {note && <span class="note">{note}</span>}
      </dd>
    </div>
  );
}

const ALERTS: readonly Column<Alert>[] = [
  { key: "rule", title: "Rule", value: (one) => one.rule },
  {
    key: "severity",
    title: "How bad",
    value: (one) => one.severity ?? "",
    show: (one) => <Chip tone={one.severity === "critical" ? "bad" : "warn"}>{one.severity || "warning"}</Chip>,
  },
  { key: "subject", title: "About", value: (one) => one.subject ?? "" },
  { key: "since", title: "Since", value: (one) => one.since_ms, show: (one) => when(one.since_ms, 0) },
  { key: "ended", title: "Until", value: (one) => one.ended_ms ?? null, show: (one) => (one.ended_ms ? when(one.ended_ms, 0) : "it still held") },
  { key: "worst", title: "Worst", value: (one) => figure(one.worst || one.value), number: true },
  { key: "threshold", title: "Limit", value: (one) => figure(one.threshold), number: true },
];

// A rule's unit is its own: four digits say enough in each.
function figure(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(4));
}

function Wrong({ perf }: { perf: Perf }) {
  if (perf.alerts.length === 0) return null;
  return (
    <section class="panel">
      <h2>Alerts</h2>
      <Table
        caption="Alerts"
        columns={ALERTS}
        rows={perf.alerts}
        id={(one) => `${one.rule} ${one.subject} ${one.since_ms}`}
        empty={null}
        sort={{ key: "since", down: true }}
      />
    </section>
  );
}

const GAINS: Record<string, string> = {
  gpu_time: " of GPU time",
  waiting: " of waiting",
  memory: " of a whole GPU's memory",
  spare: " of idle time",
};

function Advised({ perf }: { perf: Perf }) {
  if (perf.advice.length === 0) return null;
  return (
    <section class="panel">
      <h2>Advice</h2>
      <ul class="advised">
        {perf.advice.map((one) => (
          <li key={`${one.kind} ${one.title}`}>
            <strong>{one.title}</strong>
            {one.gain ? (
              <span class="detail">
                to be gained: about {duration(one.gain)}
                {GAINS[one.gain_in ?? ""] ?? ""} a day
              </span>
            ) : null}
            {(one.remedies ?? []).map((remedy) => (
              <span key={remedy} class="detail">
                <Words text={remedy} />
              </span>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

const CLASSES: readonly Column<ClassTime>[] = [
  { key: "name", title: "Kind of node", value: (one) => one.name },
  { key: "seconds", title: "Time", value: (one) => one.seconds, show: (one) => took(one.seconds), number: true },
  { key: "runs", title: "Runs", value: (one) => one.runs, number: true },
  { key: "longest", title: "Longest", value: (one) => one.longest, show: (one) => took(one.longest), number: true },
  { key: "fallbacks", title: "Fell back", value: (one) => one.fallbacks, number: true, wide: true, hint: "A VAE that ran on the CPU or in tiles" },
  { key: "failures", title: "Failed", value: (one) => one.failures, number: true, wide: true },
  { key: "peak", title: "Memory at most", value: (one) => one.peakBytes, show: (one) => bytes(one.peakBytes), number: true, wide: true },
];

const NODES: readonly Column<SlowNode>[] = [
  { key: "class", title: "Node", value: ({ node }) => node.class },
  { key: "seconds", title: "Took", value: ({ node }) => node.seconds, show: ({ node }) => took(node.seconds), number: true },
  { key: "usual", title: "Usual", value: (one) => one.usual, show: (one) => took(one.usual), number: true, hint: "Half of its kind take no longer, in the same workflow where that ran often" },
  { key: "why", title: "What happened", value: ({ node }) => why(node) },
  { key: "job", title: "Job", value: ({ node }) => node.job, show: ({ node }) => <span title={node.job}>{shortId(node.job)}</span> },
  { key: "at", title: "When", value: ({ node }) => node.started_ms, show: ({ node }) => when(node.started_ms, 0), wide: true },
];

function why(node: Node): string {
  if (node.error) return node.error;
  if (node.fallback === "tiled") return "fell back to tiles";
  return node.fallback === "cpu" ? "ran on the CPU" : (node.fallback ?? "");
}

function Slow({ perf }: { perf: Perf }) {
  const kinds = useMemo(() => classes(perf), [perf]);
  const slow = useMemo(() => slowest(perf, SLOWEST), [perf]);
  const empty = <Empty title="No nodes">Nothing ran, or no probe has told of it.</Empty>;
  return (
    <section class="panel stack">
      <h2>Where the time went</h2>
      <Table caption="Kinds of nodes" columns={CLASSES} rows={kinds} id={(one) => one.name} empty={empty} tone={(one) => (one.fallbacks || one.failures ? "bad" : "")} />
      <h2>Slower than usual, fallen back or failed</h2>
      <Table caption="Slow nodes" columns={NODES} rows={slow} id={({ node }) => `${node.job} ${node.attempt ?? 1} ${node.node}`} empty={<Empty title="None">Each node took about what its kind usually takes.</Empty>} tone={({ node }) => (node.fallback || node.error ? "bad" : "")} />
    </section>
  );
}

const USERS: readonly Column<Usage>[] = [
  { key: "user", title: "User", value: (one) => one.user || "(forgotten)" },
  { key: "gpu", title: "GPU time", value: (one) => one.gpu_us ?? 0, show: (one) => gpuTime(one.gpu_us ?? 0), number: true },
  { key: "jobs", title: "Jobs", value: (one) => one.jobs ?? 0, number: true },
  { key: "failed", title: "Failed", value: (one) => one.failed ?? 0, number: true },
  { key: "wait", title: "Mean wait", value: (one) => (one.wait_ms ?? 0) / Math.max(1, one.jobs ?? 0), show: (one) => took((one.wait_ms ?? 0) / 1000 / Math.max(1, one.jobs ?? 0)), number: true },
  { key: "energy", title: "Energy", value: (one) => one.energy_mj ?? 0, show: (one) => energy(one.energy_mj ?? 0), number: true, wide: true },
];

function Users({ perf }: { perf: Perf }) {
  return (
    <section class="panel">
      <h2>Who used what, in whole hours</h2>
      <Table caption="Usage by user" columns={USERS} rows={perf.usage} id={(one) => one.user} empty={<Empty title="Nothing was added up yet">Usage is summed up each minute by <code>vramgate jobs</code>.</Empty>} sort={{ key: "gpu", down: true }} />
    </section>
  );
}

const WAITS: readonly Column<Wait>[] = [
  { key: "reason", title: "What for", value: (one) => reason(one.reason) },
  { key: "blocker", title: "In the way", value: (one) => one.blocker ?? "" },
  { key: "time", title: "Job time", value: (one) => one.job_ms, show: (one) => duration(one.job_ms / 1000), number: true },
];

function Waits({ perf }: { perf: Perf }) {
  return (
    <section class="panel">
      <h2>What jobs waited for</h2>
      <Table caption="Waits" columns={WAITS} rows={perf.waits} id={(one) => `${one.reason} ${one.blocker}`} empty={<Empty title="Nothing waited" />} sort={{ key: "time", down: true }} />
    </section>
  );
}

function Curves({ model }: { model: Model }) {
  const gpus = model.gpus.filter((gpu) => gpu.curve);
  if (gpus.length === 0) return null;
  return (
    <section class="panel stack">
      <h2>Memory of the GPUs</h2>
      <div class="cards">
        {gpus.map((gpu) => (
          <GpuCurve key={gpu.id} gpu={gpu} model={model} />
        ))}
      </div>
    </section>
  );
}

function GpuCurve({ gpu, model }: { gpu: GpuTrack; model: Model }) {
  const drawn = useMemo(() => columns(gpu), [gpu]);
  return (
    <div>
      <h3>GPU {gpu.id}</h3>
      <Plot
        label={`Memory of GPU ${gpu.id} in GiB`}
        at={drawn.at}
        series={drawn.series}
        unit="GiB"
        format={(value) => gib(value * GIB)}
        from={model.fromMs}
        until={model.untilMs}
        {...(gpu.totalBytes ? { max: gpu.totalBytes / GIB } : {})}
        gaps={drawn.gaps}
        stacked
      />
    </div>
  );
}

/** Columns with a null where a gap begins, so that nothing is drawn through it. */
function columns(gpu: GpuTrack) {
  const at: number[] = [];
  const gaps: [number, number][] = [];
  const values: (number | null)[][] = [[], [], []];
  const names = ["foreign_bytes", "resident_bytes", "reserved_bytes"];
  const curve = gpu.curve;
  for (let n = 0; curve && n < curve.at.length; n += 1) {
    const begin = curve.at[n] ?? 0;
    at.push(begin);
    names.forEach((name, m) => values[m]?.push((curve.columns[name]?.[n] ?? 0) / GIB));
    const end = begin + (curve.holds[n] ?? 0);
    const next = curve.at[n + 1];
    if (next === undefined || next <= end + 1) continue;
    at.push(end);
    values.forEach((column) => column.push(null));
    gaps.push([end, next]);
  }
  const tones = ["--foreign", "--resident", "--reserved"];
  const series = ["foreign", "resident", "reserved"].map((label, n) => ({
    label,
    colour: tones[n] ?? "--s1",
    values: values[n] ?? [],
    stepped: true,
  }));
  return { at, series, gaps };
}
