import "./contention.css";
import { useApi } from "../../api";
import { duration, gib } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import type { PageProps } from "../../pages";
import { Problem } from "../../parts/problem";
import { type Tab, Tabs } from "../../parts/tabs";
import { TimeSpan, useSpan } from "../../parts/time_span";
import type { Session } from "../../session";
import { Blocked } from "./blocked";
import { Memory } from "./memory";
import { Peaks } from "./peaks";
import type { Contention } from "./shapes";
import { WeekMap } from "./week";
import { WhatIfs } from "./what_ifs";

export default function ContentionPage({ session }: PageProps) {
  const span = useSpan("24h");
  const found = useApi<Contention>("contention", span.query, 60);
  const told = found.data;
  const tabs: Tab[] = told
    ? [
        { name: "waits", title: "Waits", show: () => <Waits told={told} session={session} /> },
        { name: "memory", title: "Memory", show: () => <Memory told={told} session={session} /> },
        { name: "week", title: "Week", show: () => <WeekMap /> },
      ]
    : [];
  if (told && session.seesAll) {
    tabs.push({ name: "what-if", title: "What if", show: () => <WhatIfs span={span} /> });
  }
  return (
    <div class="page">
      <div class="page-head">
        <h1>Contention</h1>
        <div class="push">
          <TimeSpan />
        </div>
      </div>
      {found.problem && <Problem message={found.problem.message} retry={found.reload} />}
      {told && <Totals told={told} session={session} />}
      {told && <Tabs label="Parts of contention" tabs={tabs} />}
    </div>
  );
}

function Waits({ told, session }: { told: Contention; session: Session }) {
  return (
    <div class="stack">
      <Blocked told={told} session={session} />
      <Peaks told={told} />
    </div>
  );
}

function Totals({ told, session }: { told: Contention; session: Session }) {
  const { gpus } = useLive();
  const own = told.blocked.reduce((sum, row) => sum + row.job_ms, 0);
  const peak = told.peaks[0];
  const least = [...told.least_free].sort((a, b) => a.free_bytes - b.free_bytes)[0];
  const parts: [string, string, string?][] = [
    ["Jobs waited in all", duration(told.blocked_ms / 1000)],
    ...(session.seesAll ? [] : ([["Yours of it", duration(own / 1000)]] as [string, string][])),
    ["Most waiting at once", peak ? peak.most_queued.toLocaleString("en") : "none"],
    ["Least free memory", least ? gib(least.free_bytes) : "–", least ? gpuName(gpus, least.gpu) : ""],
    ["Near misses", told.near_misses.length.toLocaleString("en")],
  ];
  return (
    <dl class="totals">
      {parts.map(([name, value, note]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value}
            {note && <span class="note">{note}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
