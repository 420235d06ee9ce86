import { duration, when } from "../../format";
import { subjectName } from "../../gpu_names";
import type { Gpu } from "../../live_tables";
import type { Column } from "../../parts/table";
import { href } from "../../router";
import type { Alert } from "./shapes";
import { evidence, figure, limitWords, Muted, Severity } from "./words";

const WEIGHT: Record<string, number> = { critical: 2, warning: 1, info: 0 };

/** Columns of alerts; `now`: server time, for how long what still fires has done so. */
export function alertColumns(now: number, seesAll: boolean, gpus: readonly Gpu[]): Column<Alert>[] {
  return [
    {
      key: "severity",
      title: "Alert",
      hint: "Sorted by severity",
      value: (alert) => WEIGHT[alert.severity] ?? 0,
      show: (alert) => (
        <>
          <a href={href("alerts", [alert.id])}>{alert.rule}</a> <Severity name={alert.severity} />{" "}
          <Muted alert={alert} />
          <span class="detail">{subjectName(gpus, alert.subject)}</span>
        </>
      ),
    },
    {
      key: "text",
      title: "What",
      value: (alert) => alert.text,
      show: (alert) => <span class="alert-text">{alert.text}</span>,
      sortable: false,
    },
    ...(seesAll
      ? [{ key: "user", title: "User", value: (alert: Alert) => alert.user || null, wide: true }]
      : []),
    {
      key: "value",
      title: "Figure",
      hint: "Farthest over the limit, and the limit",
      value: (alert) => alert.worst,
      show: (alert) =>
        alert.unit ? (
          <>
            {figure(alert.worst, alert.unit)}
            <span class="detail">{limitWords(alert.limit, alert.unit, alert.below)}</span>
          </>
        ) : (
          "–"
        ),
      number: true,
      wide: true,
    },
    {
      key: "since",
      title: "Since",
      value: (alert) => alert.since_ms,
      show: (alert) => when(alert.since_ms, now),
      number: true,
    },
    {
      key: "lasted",
      title: "Lasted",
      value: (alert) => (alert.ended_ms ?? now) - alert.since_ms,
      show: (alert) => (
        <>
          {duration(((alert.ended_ms ?? now) - alert.since_ms) / 1000)}
          {alert.ended_ms === null && <span class="detail">and goes on</span>}
        </>
      ),
      number: true,
      wide: true,
    },
    {
      key: "evidence",
      title: "See",
      value: () => null,
      show: (alert) => {
        const link = evidence(alert);
        return link ? <a href={link.to}>{link.text}</a> : "–";
      },
      sortable: false,
      wide: true,
    },
  ];
}
