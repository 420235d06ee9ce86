import "./overview.css";
import { gib } from "../../format";
import { useLive } from "../../live";
import { useNow } from "../../now";
import type { PageProps } from "../../pages";
import { useTheme } from "../../theme";
import type { Overview } from "../../types";
import { Gpus } from "./gpus";
import { Queue, Running, Waiting } from "./jobs";

export default function OverviewPage(_props: PageProps) {
  const view = useLive();
  const now = useNow();
  const theme = useTheme();
  const { overview } = view;
  if (!overview) return null;
  // Without a line nothing is known of now: all clocks stand where the last figures left them.
  const stale = view.line !== "live";
  const nowMs = stale ? overview.now_ms : Math.max(overview.now_ms, now + view.skewMs);
  return (
    <div class={stale ? "page stale" : "page"}>
      <h1>Overview</h1>
      <Totals overview={overview} />
      <Gpus overview={overview} curves={view.curves} nowMs={nowMs} theme={theme} />
      <div class="panels">
        <div class="stack">
          <Queue overview={overview} />
          <Running overview={overview} nowMs={nowMs} />
        </div>
        <Waiting overview={overview} nowMs={nowMs} />
      </div>
    </div>
  );
}

function Totals({ overview }: { overview: Overview }) {
  const { totals, ended } = overview;
  const free = overview.gpus.reduce((sum, gpu) => sum + gpu.free_bytes, 0);
  return (
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
