import { useSource } from "../api";
import { href, type QueryChange } from "../router";
import "./recording.css";

type Props = { job: string; user?: string } | { from: number; until: number; user?: string };

/** Links that record a job, or a span of time: to keep, for Perfetto, as a report, to replay. */
export function Take(props: Props) {
  const source = useSource();
  const job = "job" in props ? props.job : null;
  const query: QueryChange = "job" in props ? { user: props.user } : { from: props.from, until: props.until, user: props.user };
  const path = job === null ? "perf" : `jobs/${encodeURIComponent(job)}/perf`;
  const file = source.url(path, query);
  if (!file) return null;
  const report = job === null ? source.url("report", query) : null;
  return (
    <span class="take" role="group" aria-label={job === null ? "Record this time" : "Record this job"}>
      <a class="button" href={href("replay", [], job === null ? query : { job, user: props.user })}>
        Replay
      </a>
      <a class="button" href={file} download>
        .perf.json
      </a>
      <a class="button" href={source.url(path, { ...query, format: "chrome" }) ?? file} download>
        For Perfetto
      </a>
      {report && (
        <a class="button" href={report} download>
          Report
        </a>
      )}
    </span>
  );
}
