import "./overview.css";
import { gib } from "../../format";
import { useLive, type View } from "../../live";
import { useLiveNow } from "../../live_now";
import type { PageProps } from "../../pages";
import { Empty } from "../../parts/empty";
import { href } from "../../router";
import { Gpus } from "./gpus";
import { Notices } from "./notices";
import { QueueByUser } from "./queue";
import { Running } from "./running";
import { Waiting } from "./waiting";

export default function OverviewPage({ session }: PageProps) {
  const view = useLive();
  const now = useLiveNow(view);
  if (!view.nowMs) {
    return <Empty title="There are no live figures just now">History can be seen all the same.</Empty>;
  }
  return (
    <div class={view.line === "live" ? "page" : "page stale"}>
      <h1>Overview</h1>
      <Totals view={view} />
      <Notices />
      <Running view={view} now={now} session={session} />
      <div class="panels uneven">
        <QueueByUser view={view} session={session} />
        <Waiting view={view} now={now} session={session} />
      </div>
      <Gpus view={view} now={now} />
    </div>
  );
}

function Totals({ view }: { view: View }) {
  const { pool, gpus } = view;
  if (!pool) return null;
  const free = gpus.reduce((sum, gpu) => sum + gpu.free_bytes, 0);
  return (
    <dl class="totals">
      <Figure name="Waiting" value={pool.queued.toLocaleString("en")} to={href("queue")} />
      <Figure name="Running" value={pool.running.toLocaleString("en")} />
      <Figure name="Workers busy" value={`${pool.busy} of ${pool.workers}`} />
      <Figure name="Memory free" value={gpus.length ? gib(free) : "–"} to={href("gpus")} />
      <Figure
        name={`Done in ${pool.ended_minutes} min`}
        value={pool.succeeded.toLocaleString("en")}
        note={pool.failed ? `${pool.failed} failed` : ""}
      />
    </dl>
  );
}

interface FigureProps {
  name: string;
  value: string;
  note?: string;
  to?: string;
}

function Figure({ name, value, note = "", to }: FigureProps) {
  return (
    <div>
      <dt>{to ? <a href={to}>{name}</a> : name}</dt>
      <dd>
        {value}
        {note && <span class="note">{note}</span>}
      </dd>
    </div>
  );
}
