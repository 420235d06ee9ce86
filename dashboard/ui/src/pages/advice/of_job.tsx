import { useApi } from "../../api";
import { withGpuNames } from "../../gpu_names";
import { useLive } from "../../live";
import { Words } from "../../parts/words";
import { href } from "../../router";
import type { Advice } from "./shapes";
import { gained } from "./words";

/** Advice that concerns one job; nothing where there is none. */
export function JobAdvice({ job }: { job: string }) {
  const { gpus } = useLive();
  const told = useApi<{ advice: Advice[] }>(`jobs/${encodeURIComponent(job)}/advice`).data;
  if (!told || told.advice.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="job-advice">
      <h2 id="job-advice">Advice</h2>
      <ul class="job-advice">
        {told.advice.map((one) => (
          <li key={one.id}>
            <a href={href("advice", [one.id])}>{withGpuNames(one.title, gpus)}</a>
            <span class="muted"> {gained(one.gain)}</span>
            {one.remedies[0] && (
              <div>
                <Words text={withGpuNames(one.remedies[0], gpus)} />
              </div>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
