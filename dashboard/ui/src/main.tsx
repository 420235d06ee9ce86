import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { Gpus } from "./gpus";
import { Queue, Running, Waiting } from "./jobs";
import { type View, watch } from "./live";
import { duration, gib } from "./format";
import type { Overview } from "./types";

const DARK = window.matchMedia("(prefers-color-scheme: dark)");

function App() {
  const [view, show] = useState<View | null>(null);
  const [now, setNow] = useState(Date.now());
  const [theme, setTheme] = useState(DARK.matches ? "dark" : "light");

  useEffect(() => watch(show), []);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, []);
  useEffect(() => {
    const changed = (): void => setTheme(DARK.matches ? "dark" : "light");
    DARK.addEventListener("change", changed);
    return () => DARK.removeEventListener("change", changed);
  }, []);

  const overview = view?.overview ?? null;
  if (!view || !overview) return <BeforeFirst view={view} />;
  // Without a line nothing is known of now: all clocks stand where the last figures left them.
  const stale = view.line !== "live";
  const nowMs = stale ? overview.now_ms : Math.max(overview.now_ms, now + view.skewMs);
  return (
    <>
      <Banner view={view} overview={overview} now={now} />
      <Head overview={overview} live={!stale} />
      <main class={stale ? "stale" : ""}>
        <Gpus overview={overview} curves={view.curves} nowMs={nowMs} theme={theme} />
        <div class="panels">
          <div class="stack">
            <Queue overview={overview} />
            <Running overview={overview} nowMs={nowMs} />
          </div>
          <Waiting overview={overview} nowMs={nowMs} />
        </div>
      </main>
    </>
  );
}

function BeforeFirst({ view }: { view: View | null }) {
  const trouble = view && view.line !== "connecting";
  return (
    <main>
      <p class="first" role="status">
        {view?.line === "unavailable" && view.notice}
        {view?.line === "disconnected" && "The server does not answer. This page tries again by itself."}
        {!trouble && "Connecting…"}
      </p>
    </main>
  );
}

function Banner({ view, overview, now }: { view: View; overview: Overview; now: number }) {
  const age = duration((now + view.skewMs - overview.now_ms) / 1000);
  return (
    <div role="alert">
      {view.line === "disconnected" && (
        <p class="banner">Disconnected: these figures are {age} old. Trying again by itself.</p>
      )}
      {view.line === "unavailable" && (
        <p class="banner">
          {view.notice}. These figures are {age} old.
        </p>
      )}
    </div>
  );
}

function Head({ overview, live }: { overview: Overview; live: boolean }) {
  const { totals, ended } = overview;
  const free = overview.gpus.reduce((sum, gpu) => sum + gpu.free_bytes, 0);
  return (
    <header class="head">
      <div class="title">
        <h1>vramgate</h1>
        <span class={live ? "line live" : "line"}>{live ? "live" : "not live"}</span>
        <span class="muted who">
          {overview.user}
          {overview.role !== "artist" && ` · ${overview.role}`}
        </span>
      </div>
      <dl class="totals">
        <Figure name="Waiting" value={totals.queued.toLocaleString("en")} />
        <Figure name="Running" value={totals.running.toLocaleString("en")} />
        <Figure name="Workers busy" value={`${totals.busy} of ${totals.workers}`} />
        <Figure name="Memory free" value={overview.gpus.length ? gib(free) : "–"} />
        <Figure
          name={`Done in ${ended.minutes} min`}
          value={ended.all.succeeded.toLocaleString("en")}
          note={ended.all.failed ? `${ended.all.failed} failed` : ""}
        />
      </dl>
    </header>
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

const root = document.getElementById("app");
if (root) render(<App />, root);
