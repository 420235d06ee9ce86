import { useApi } from "../../api";
import { href } from "../../router";
import type { Advice } from "./shapes";
import { gained } from "./words";

/** Advice that concerns one job; nothing where there is none. */
export function JobAdvice({ job }: { job: string }) {
  const told = useApi<{ advice: Advice[] }>(`jobs/${encodeURIComponent(job)}/advice`).data;
  if (!told || told.advice.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="job-advice">
      <h2 id="job-advice">Advice</h2>
      <ul>
        {told.advice.map((one) => (
          <li key={one.id}>
            <a href={href("advice", [one.id])}>{one.title}</a>
            <span class="muted"> {gained(one.gain)}</span>
            {one.remedies[0] && <div>{one.remedies[0].replaceAll("`", "")}</div>}
          </li>
        ))}
      </ul>
    </section>
  );
}
