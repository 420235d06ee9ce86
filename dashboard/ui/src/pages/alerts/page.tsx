import "./alerts.css";
import { useApi } from "../../api";
import { ago, count } from "../../format";
import { useFresh } from "../../fresh";
import { useLive } from "../../live";
import type { PageProps } from "../../pages";
import { Problem } from "../../parts/problem";
import { type Tab, Tabs } from "../../parts/tabs";
import { go } from "../../router";
import { AlertDialog } from "./alert_dialog";
import { Firing } from "./firing";
import { Past } from "./past";
import { Rules } from "./rules";
import type { AlertsNow, Rule } from "./shapes";
import { Silences } from "./silences";
import { Told } from "./told";

const EVERY_S = 10;

export default function AlertsPage({ route, session }: PageProps) {
  const told = useApi<AlertsNow>("alerts", {}, EVERY_S);
  const rules = useApi<{ rules: Rule[] }>("alerts/rules", {}, EVERY_S);
  const { pool, nowMs } = useLive();
  // the badge changed: so has the list
  useFresh(pool?.alerts, told.reload, 0);
  const now = Math.max(told.data?.now_ms ?? 0, nowMs) || Date.now();
  const known = rules.data?.rules ?? [];
  const tabs: Tab[] = [
    { name: "firing", title: "Firing", show: () => told.data && <Firing told={told.data} session={session} /> },
    {
      name: "past",
      title: "History",
      show: () => (
        <Past query={route.query} rules={known.map((rule) => rule.name)} now={now} session={session} />
      ),
    },
    {
      name: "rules",
      title: "Rules",
      show: () =>
        rules.problem && !rules.data ? (
          <Problem message={rules.problem.message} retry={rules.reload} />
        ) : (
          <Rules rules={known} session={session} />
        ),
    },
  ];
  if (session.seesAll) {
    tabs.push(
      { name: "silences", title: "Silences", show: () => <Silences now={now} onChange={told.reload} /> },
      { name: "told", title: "Who is told", show: () => <Told now={now} /> },
    );
  }
  return (
    <div class="page alerts">
      <div class="page-head">
        <h1>Alerts</h1>
        {told.data && <Summary told={told.data} />}
      </div>
      {told.problem && <Problem message={told.problem.message} retry={told.reload} />}
      {told.data?.unwatched && <Problem message={unwatched(told.data)} />}
      <Tabs label="Alerts" tabs={tabs} />
      <AlertDialog
        id={route.args[0] ?? null}
        now={now}
        session={session}
        onClose={() => route.args[0] && go("alerts", [], route.query)}
        onChange={told.reload}
      />
    </div>
  );
}

function Summary({ told }: { told: AlertsNow }) {
  const loud = told.firing.filter((alert) => !alert.muted).length;
  const muted = told.firing.length - loud;
  return (
    <span class="muted">
      {count(loud, "alert")} firing{muted > 0 && `, ${muted} muted`}
    </span>
  );
}

function unwatched(told: AlertsNow): string {
  const last =
    told.looked_ms === null
      ? "Nobody has ever looked at the rules."
      : `Rules were last looked at ${ago(told.looked_ms, told.now_ms)}.`;
  return `${last} Is the recorder up (vramgate recorder)? Until it is, nothing new fires or ends.`;
}
