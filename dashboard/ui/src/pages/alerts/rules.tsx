import { subjectName } from "../../gpu_names";
import { useLive } from "../../live";
import { Bar } from "../../parts/bar";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { type Column, Table } from "../../parts/table";
import { href } from "../../router";
import type { Session } from "../../session";
import type { Rule } from "./shapes";
import { figure, limitWords, Severity, spell } from "./words";

/** All rules; for admins with the figure that is nearest to the limit. */
export function Rules({ rules, session }: { rules: readonly Rule[]; session: Session }) {
  return (
    <section class="panel">
      <Table
        caption="Rules, and what they see now"
        columns={columns(session)}
        rows={rules}
        id={(rule) => rule.name}
        empty={<Empty title="There are no rules" />}
        tone={(rule) => (rule.enabled ? "" : "dim")}
      />
      <p class="empty">
        Limits are set in <code>alerts.rules</code> of the config file, and change without a restart. For a
        Prometheus of your own: <code>vramgate alerts rules --prometheus</code>.
      </p>
    </section>
  );
}

function columns(session: Session): Column<Rule>[] {
  const mine: Column<Rule>[] = [
    {
      key: "name",
      title: "Rule",
      value: (rule) => rule.name,
      show: (rule) => (
        <>
          <a href={href("alerts", [], { tab: "past", rule: rule.name })}>{rule.name}</a>{" "}
          {!rule.enabled && <Chip>off</Chip>}
          <span class="detail">
            {rule.about}
            {rule.scope.length > 0 && ` (${rule.scope.join(", ")})`}
          </span>
        </>
      ),
    },
    {
      key: "severity",
      title: "Severity",
      value: (rule) => rule.severity,
      show: (rule) => <Severity name={rule.severity} />,
      wide: true,
    },
    {
      key: "limit",
      title: "Fires",
      value: (rule) => rule.limit,
      show: (rule) => (
        <span class="whole">
          {limitWords(rule.limit, rule.unit, rule.below) || "when true"}
          <span class="detail">{lasting(rule)}</span>
        </span>
      ),
      sortable: false,
      wide: session.seesAll,
    },
  ];
  const seen: Column<Rule>[] = [
    {
      key: "value",
      title: "Now",
      hint: "Its figure that is nearest to the limit",
      value: near,
      show: (rule) => <Now rule={rule} />,
      number: true,
    },
    {
      key: "firing",
      title: "Firing",
      value: (rule) => rule.firing,
      show: (rule) => (rule.firing ? <Chip tone="bad">{rule.firing}</Chip> : rule.pending ? "pending" : "–"),
      number: true,
      wide: true,
    },
  ];
  return session.seesAll ? [...mine, ...seen] : mine;
}

function lasting(rule: Rule): string {
  if (!rule.lasts_seconds) return "at once";
  return `${rule.happens ? "shown for" : "for"} ${spell(rule.lasts_seconds)}`;
}

/** How near it is to its limit: 1 is at it. */
function near(rule: Rule): number | null {
  if (rule.value === null || !rule.enabled) return null;
  const limit = rule.value_limit || rule.limit || 1;
  return rule.below ? limit / Math.max(rule.value, limit / 100) : rule.value / limit;
}

function Now({ rule }: { rule: Rule }) {
  const { gpus } = useLive();
  const share = near(rule);
  if (share === null || rule.value === null) return <>–</>;
  const limit = rule.value_limit ?? rule.limit;
  const words = `${figure(rule.value, rule.unit)}, limit ${figure(limit, rule.unit)}`;
  return (
    <span class="rule-now">
      {figure(rule.value, rule.unit)}
      <Bar
        label={words}
        total={1}
        parts={[{ label: "now", value: Math.min(1, share), tone: share >= 1 ? "bad" : share > 0.8 ? "warn" : "good" }]}
      />
      <span class="detail">{subjectName(gpus, rule.subject)}</span>
    </span>
  );
}
