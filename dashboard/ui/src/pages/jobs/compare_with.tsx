import { useState } from "preact/hooks";
import { useApi } from "../../api";
import { took, when } from "../../format";
import { Empty } from "../../parts/empty";
import { go } from "../../router";
import type { JobLine, JobList } from "./types";

/** Runs of the same workflow that are offered. */
const OFFERED = 50;
const LONG_AGO_MS = 90 * 86_400_000;

/** Choose another run of the workflow, or any job by its id. */
export function CompareWith({ job }: { job: JobLine }) {
  const kind = job.workflow.fingerprint;
  const [from] = useState(() => Date.now() - LONG_AGO_MS);
  const query = { workflow: kind, user: job.user, state: "SUCCEEDED", rows: OFFERED, from };
  const { data } = useApi<JobList>(kind ? "jobs" : null, query);
  const others = (data?.jobs ?? []).filter((one) => one.id !== job.id);
  const ordered = [...others].sort((a, b) => a.run_seconds - b.run_seconds);
  const quickest = ordered[0];
  // The quickest found all in the cache, as a rule: what is usual says more.
  const usual = ordered[Math.floor(ordered.length / 2)];
  const [other, choose] = useState("");
  const chosen = other.trim() || usual?.id || "";
  return (
    <section class="panel" aria-labelledby="compare-with">
      <h2 id="compare-with">Compare with another run</h2>
      {data && others.length === 0 && (
        <Empty title="No other run of this workflow">Any other job can be compared by its id.</Empty>
      )}
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          if (chosen) go("jobs", [job.id], { with: chosen });
        }}
      >
        {others.length > 0 && (
          <select aria-label="Another run" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
            {others.map((one) => (
              <option key={one.id} value={one.id}>
                {took(one.run_seconds)}, {when(one.ended_ms)}
                {one === usual ? " (a usual one)" : one === quickest ? " (the quickest)" : ""}
              </option>
            ))}
          </select>
        )}
        <input
          aria-label="Or a job's id"
          placeholder="or a job's id"
          value={other}
          onInput={(event) => choose(event.currentTarget.value)}
        />
        <button type="submit" class="main" disabled={!chosen}>
          Compare
        </button>
      </form>
    </section>
  );
}
