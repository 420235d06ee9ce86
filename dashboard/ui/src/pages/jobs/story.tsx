import { bytes, duration, when } from "../../format";
import { href } from "../../router";
import type { JobDetail, StoryStep } from "./types";
import { ending } from "./words";

const WORDS: Record<StoryStep["what"], string> = {
  waiting: "waited",
  starting: "was on its way to its worker",
  running: "ran",
};

/** What came before and between: each wait and each try, as a strip and as a list. */
export function Story({ detail }: { detail: JobDetail }) {
  const { steps, now_ms } = detail;
  if (steps.length === 0) return null;
  const length = (step: StoryStep): number => Math.max(1, (step.until_ms ?? now_ms) - step.from_ms);
  const whole = steps.reduce((sum, step) => sum + length(step), 0);
  return (
    <section class="panel" aria-labelledby="story">
      <h2 id="story">From posting to its end</h2>
      <div class="strip" aria-hidden="true">
        {steps.map((step) => (
          <span
            key={`${step.what} ${step.from_ms}`}
            class={`strip-${step.what} ${tone(step)}`}
            style={{ flexGrow: length(step) / whole }}
          />
        ))}
      </div>
      <ol class="story">
        {steps.map((step) => (
          <li key={`${step.what} ${step.from_ms}`} class={tone(step)}>
            <span class={`key strip-${step.what} ${tone(step)}`} aria-hidden="true" />
            <span class="muted">{when(step.from_ms)}</span>
            <span>
              {label(step, detail)} <strong>{duration(length(step) / 1000)}</strong>
              {ending(step) && `, ${ending(step)}`}
              {step.what === "running" && place(step)}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function label(step: StoryStep, detail: JobDetail) {
  if (step.what !== "running" || detail.job.attempts < 2) return WORDS[step.what];
  const text = `try ${step.attempt} ran`;
  if (step.attempt === detail.attempt) return text;
  return <a href={href("jobs", [detail.job.id], { attempt: step.attempt })}>{text}</a>;
}

function place(step: StoryStep) {
  const promised = step.reserved_bytes ? `, with ${bytes(step.reserved_bytes)} promised` : "";
  return (
    <span class="detail">
      on {step.worker}
      {promised}
    </span>
  );
}

function tone(step: StoryStep): string {
  if (step.state === "FAILED") return "bad";
  return step.state === "QUEUED" || step.state === "CANCELLED" ? "warn" : "";
}
