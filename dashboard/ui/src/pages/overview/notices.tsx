import { useApi } from "../../api";
import { withGpuNames } from "../../gpu_names";
import { useLive } from "../../live";
import { Chip, type Tone } from "../../parts/chip";
import { href } from "../../router";

interface Firing {
  id: string;
  rule: string;
  severity: string;
  text: string;
  muted: string;
}

interface Advice {
  id: string;
  title: string;
}

/** The part of `GET api/v1/alerts` and `api/v1/advice` that is shown here. */
interface AlertsNow {
  unwatched: boolean;
  firing: Firing[];
}

interface AdviceList {
  advice: Advice[];
  open: number;
}

const MOST = 3;
const TONES: Record<string, Tone> = { critical: "bad", warning: "warn" };
/** Rules are looked at every few seconds, advice is found a few times a day. */
const ALERTS_S = 15;
const ADVICE_S = 300;

/** What fires, and what could be better: the most pressing, and where the rest is. */
export function Notices() {
  const alerts = useApi<AlertsNow>("alerts", {}, ALERTS_S).data;
  const advice = useApi<AdviceList>("advice", { rows: MOST }, ADVICE_S).data;
  const { gpus } = useLive();
  const firing = alerts?.firing.filter((alert) => !alert.muted) ?? [];
  if (firing.length === 0 && !alerts?.unwatched && !advice?.open) return null;
  return (
    <section class="panel" aria-labelledby="notices">
      <h2 id="notices">To look at</h2>
      <ul class="notices">
        {alerts?.unwatched && (
          <li>
            <Chip tone="warn">alerts</Chip> Nobody looks at the rules: is <code>vramgate jobs</code> running?
          </li>
        )}
        {firing.slice(0, MOST).map((alert) => (
          <li key={alert.id}>
            <Chip tone={TONES[alert.severity] ?? "info"}>{alert.severity}</Chip>{" "}
            <a href={href("alerts", [alert.id])}>{alert.text || alert.rule}</a>
          </li>
        ))}
        {advice?.advice.map((one) => (
          <li key={one.id}>
            <Chip tone="info">advice</Chip> <a href={href("advice", [one.id])}>{withGpuNames(one.title, gpus)}</a>
          </li>
        ))}
      </ul>
      <p class="small muted">
        {firing.length > MOST && (
          <>
            <a href={href("alerts")}>All {firing.length} alerts</a>{" "}
          </>
        )}
        {(advice?.open ?? 0) > MOST && <a href={href("advice")}>All advice ({advice?.open})</a>}
      </p>
    </section>
  );
}
