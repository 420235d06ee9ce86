import { count, duration, when } from "../../format";
import { subjectName } from "../../gpu_names";
import { useLive } from "../../live";
import { Empty } from "../../parts/empty";
import { Table } from "../../parts/table";
import { go } from "../../router";
import type { Session } from "../../session";
import { alertColumns } from "./columns";
import type { AlertsNow, Pending } from "./shapes";

/** What fires now, and what is true and has not been for long enough. */
export function Firing({ told, session }: { told: AlertsNow; session: Session }) {
  const { firing, pending } = told;
  const { gpus } = useLive();
  return (
    <div class="stack">
      <section class="panel">
        <Table
          caption="Alerts that fire now"
          columns={alertColumns(told.now_ms, session.seesAll, gpus)}
          rows={firing}
          id={(alert) => alert.id}
          sort={{ key: "severity", down: true }}
          open={(alert) => go("alerts", [alert.id])}
          tone={(alert) => (alert.muted ? "dim" : "")}
          empty={<Nothing told={told} session={session} />}
        />
      </section>
      {pending.length > 0 && <Soon pending={pending} now={told.now_ms} />}
    </div>
  );
}

function Nothing({ told, session }: { told: AlertsNow; session: Session }) {
  if (!told.enabled) {
    return (
      <Empty title="Alerts are switched off">
        Set <code>alerts.enabled: true</code> in the config file.
      </Empty>
    );
  }
  if (told.unwatched) return <Empty title="Nothing is known" />;
  return (
    <Empty title={session.seesAll ? "Nothing fires" : "Nothing fires that is about your jobs"}>
      {told.looked_ms !== null && `Looked at ${when(told.looked_ms, told.now_ms)}.`}
    </Empty>
  );
}

function Soon({ pending, now }: { pending: Pending[]; now: number }) {
  const { gpus } = useLive();
  return (
    <section class="panel">
      <h2>{count(pending.length, "rule")} true, not for long enough yet</h2>
      <ul class="plain-list">
        {pending.map((one) => (
          <li key={`${one.rule} ${one.subject} ${one.user}`}>
            <strong>{one.rule}</strong> {subjectName(gpus, one.subject)}
            <span class="detail">
              true for {duration((now - one.since_ms) / 1000)}, fires in{" "}
              {duration((one.fires_ms - now) / 1000)} if it stays so
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
