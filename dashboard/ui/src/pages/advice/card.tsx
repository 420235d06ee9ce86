import { useEffect, useRef } from "preact/hooks";
import { ago, count, shortId, when } from "../../format";
import { Chip, type Tone } from "../../parts/chip";
import { gpuName, withGpuNames } from "../../gpu_names";
import { useLive } from "../../live";
import { Words } from "../../parts/words";
import { href } from "../../router";
import type { Session } from "../../session";
import { Dots } from "./dots";
import type { Advice } from "./shapes";
import { bounds, chance, figure, gained } from "./words";

const KINDS: Record<string, [string, Tone]> = {
  vae_fallback: ["VAE fell back", "bad"],
  partial_load: ["Loaded in part", "warn"],
  slow_sampler: ["Slow sampler", "info"],
  thrash: ["Models come and go", "warn"],
  batches: ["Batch too large", "info"],
  repeats: ["Made twice", "info"],
  failing: ["Node fails", "bad"],
  cap: ["Limit starves", "warn"],
  idle_gpu: ["GPU idle", "info"],
  slow_gpu: ["Slow GPU", "warn"],
  leak: ["Memory leak", "bad"],
  overestimate: ["Estimate too high", "warn"],
};

interface Props {
  advice: Advice;
  session: Session;
  /** Whether its evidence is folded out. */
  open: boolean;
  now: number;
  onFold: () => void;
  /** Ask why, and dismiss it; take that back. */
  onDismiss: () => void;
  onRecall: () => void;
}

/** One piece of advice: what, why, what to do; the evidence folds out. */
export function Card(props: Props) {
  const { advice, session, open, now, onFold } = props;
  const { gpus } = useLive();
  const said = (text: string): string => withGpuNames(text, gpus);
  const place = useRef<HTMLElement>(null);
  // a link to it leads to it, wherever in the list it is
  useEffect(() => {
    if (open) place.current?.scrollIntoView();
  }, []);
  const [kind, tone] = KINDS[advice.kind] ?? [advice.kind.replaceAll("_", " "), "plain"];
  return (
    <article class="panel advice" ref={place} aria-labelledby={`advice-${advice.id}`}>
      <header class="card-head">
        <Chip tone={tone}>{kind}</Chip>
        <h2 id={`advice-${advice.id}`}>{said(advice.title)}</h2>
        <span class="push advice-gain" title={bounds(advice.gain)}>
          {gained(advice.gain)}
        </span>
      </header>
      <p>{said(advice.cause)}</p>
      <ul class="advice-remedies" aria-label="What to do">
        {advice.remedies.map((remedy) => (
          <li key={remedy}><Words text={said(remedy)} /></li>
        ))}
      </ul>
      {advice.dismissal && <Dismissed advice={advice} now={now} />}
      <div class="advice-foot">
        <button type="button" class="quiet" aria-expanded={open} onClick={onFold}>
          {open ? "Hide the evidence" : "Show the evidence"}
        </button>
        <span class="muted">
          {advice.ended_ms === null
            ? `first seen ${ago(advice.since_ms, now)}`
            : `over since ${when(advice.ended_ms, now)}`}
          {whose(advice, session)}
        </span>
        {session.mayChange && advice.ended_ms === null && (
          <button type="button" class="quiet push" onClick={advice.dismissed ? props.onRecall : props.onDismiss}>
            {advice.dismissed ? "Take back" : "Dismiss"}
          </button>
        )}
      </div>
      {open && <Evidence advice={advice} session={session} now={now} />}
    </article>
  );
}

function whose(advice: Advice, session: Session): string {
  if (session.seesAll) return advice.users.length > 0 ? ` · concerns ${advice.users.join(", ")}` : "";
  return advice.others > 0 ? ` · concerns you and ${count(advice.others, "other")}` : "";
}

function Dismissed({ advice, now }: { advice: Advice; now: number }) {
  const told = advice.dismissal;
  if (!told) return null;
  return (
    <p class="muted">
      Dismissed by {told.by} {when(told.at_ms, now)}: “{told.why}”
      {!advice.dismissed && ". It is back because far more would be gained now."}
    </p>
  );
}

function Evidence({ advice, session, now }: { advice: Advice; session: Session; now: number }) {
  const { effect, proof, about } = advice;
  const { gpus } = useLive();
  return (
    <div class="advice-evidence">
      <dl class="advice-figures">
        <Row name="How large" value={`${figure(effect.value, effect.unit)} (${figure(effect.low, effect.unit)} to ${figure(effect.high, effect.unit)})`} />
        <Row name="What it would gain" value={`${gained(advice.gain)} (${bounds(advice.gain)})`} />
        <Row name="Were it chance" value={`${chance(proof.p_value)}; ${proof.shown.toLocaleString("en")} against ${proof.compared.toLocaleString("en")}`} />
        {advice.figures.map((one) => (
          <Row key={one.name} name={capital(one.name)} value={figure(one.value, one.unit)} />
        ))}
      </dl>
      <div class="advice-charts">
        {advice.charts.map((chart) => (
          <Dots key={chart.title} chart={chart} />
        ))}
      </div>
      <p class="muted">{proof.test}.</p>
      {advice.jobs.length > 0 && (
        <>
          <h3>Jobs that show it</h3>
          <ul class="advice-jobs">
            {advice.jobs.map((one) => (
              <li key={one.job}>
                <a href={href("jobs", [one.job])}>{shortId(one.job)}</a>
                {session.seesAll && ` ${one.user}`} <span class="muted">{when(one.at_ms, now)}</span> {one.note}
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="advice-about">
        {about.fingerprints.map((one) => (
          <a key={one} href={href("workflows", [one])}>
            Workflow {shortId(one)}
          </a>
        ))}
        {about.gpus.map((one) => (
          <a key={one} href={href("gpus", [one])}>
            {gpuName(gpus, one)}
          </a>
        ))}
      </p>
    </div>
  );
}

function Row({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
