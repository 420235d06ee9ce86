import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useApi } from "../../api";
import { duration, when } from "../../format";
import { Dialog } from "../../parts/dialog";
import { Problem } from "../../parts/problem";
import { href } from "../../router";
import type { Session } from "../../session";
import type { Alert } from "./shapes";
import { SilenceDialog, type Wanted } from "./silence_dialog";
import { evidence, figure, limitWords, Muted, Severity } from "./words";

interface Props {
  id: string | null;
  now: number;
  session: Session;
  onClose: () => void;
  onChange: () => void;
}

/** One alert with all that is known of it; `#/alerts/ID` opens it. */
export function AlertDialog({ id, now, session, onClose, onChange }: Props) {
  const one = useApi<Alert>(id === null ? null : `alerts/one/${encodeURIComponent(id)}`);
  const [wanted, want] = useState<Wanted | null>(null);
  const alert = one.data;
  const changed = (): void => {
    one.reload();
    onChange();
  };
  return (
    <>
      <Dialog
        open={id !== null}
        title={alert?.rule ?? "Alert"}
        onClose={onClose}
        actions={
          session.seesAll && alert && alert.ended_ms === null ? (
            <button type="button" onClick={() => want({ rule: alert.rule, subject: alert.subject })}>
              Silence …
            </button>
          ) : undefined
        }
      >
        {one.problem && <Problem message={one.problem.message} />}
        {alert && <Facts alert={alert} now={now} />}
      </Dialog>
      <SilenceDialog wanted={wanted} onClose={() => want(null)} onDone={changed} />
    </>
  );
}

function Facts({ alert, now }: { alert: Alert; now: number }) {
  const link = evidence(alert);
  const labels = Object.entries(alert.labels);
  const end = alert.ended_ms ?? now;
  return (
    <>
      <p>
        <Severity name={alert.severity} /> <Muted alert={alert} /> {alert.text}
      </p>
      <dl class="facts">
        <Fact name="About">
          <code>{alert.subject}</code>
        </Fact>
        {alert.user && <Fact name="User">{alert.user}</Fact>}
        {alert.unit && (
          <Fact name="Figure">
            {figure(alert.value, alert.unit)}, worst {figure(alert.worst, alert.unit)}; fires{" "}
            {limitWords(alert.limit, alert.unit, alert.below)}
          </Fact>
        )}
        <Fact name="True since">{when(alert.began_ms, now)}</Fact>
        <Fact name="Fired">
          {when(alert.since_ms, now)}, {alert.ended_ms === null ? "and does for" : "for"}{" "}
          {duration((end - alert.since_ms) / 1000)}
        </Fact>
        {alert.ended_ms !== null && <Fact name="Over">{when(alert.ended_ms, now)}</Fact>}
        {labels.length > 0 && <Fact name="Labels">{labels.map(([k, v]) => `${k}=${v}`).join(", ")}</Fact>}
        {link && (
          <Fact name="See">
            <a href={link.to}>{link.text}</a>
          </Fact>
        )}
        <Fact name="Before">
          <a href={href("alerts", [], { tab: "past", rule: alert.rule })}>How often {alert.rule} fired</a>
        </Fact>
      </dl>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
