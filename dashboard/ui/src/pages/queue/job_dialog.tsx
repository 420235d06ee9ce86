import { useEffect, useState } from "preact/hooks";
import { usePost } from "../../api";
import { bytes, duration, reason, when } from "../../format";
import { Dialog } from "../../parts/dialog";
import { Problem } from "../../parts/problem";
import { href } from "../../router";
import type { Session } from "../../session";
import { soon } from "../../waits";
import type { QueuedJob } from "./shapes";

interface Props {
  job: QueuedJob | null;
  now: number;
  session: Session;
  onClose: () => void;
  /** Something was changed. */
  onDone: () => void;
}

/** One job of the queue, and what may be done to it. */
export function JobDialog({ job, now, session, onClose, onDone }: Props) {
  const post = usePost();
  const [wrong, setWrong] = useState("");
  const [sure, setSure] = useState(false);
  useEffect(() => {
    setWrong("");
    setSure(false);
  }, [job?.id]);
  if (!job) return null;

  const act = async (action: string): Promise<void> => {
    const owner = job.user === session.user ? "" : `?user=${encodeURIComponent(job.user)}`;
    const answer = await post(`jobs/${encodeURIComponent(job.prompt_id)}/${action}${owner}`);
    setWrong(answer.ok ? "" : answer.problem.message);
    onDone();
    if (answer.ok && action === "cancel") onClose();
  };
  const may = session.mayChange && (session.seesAll || job.user === session.user);
  const queued = job.state === "QUEUED";
  return (
    <Dialog
      open
      title={`Job ${job.prompt_id}`}
      onClose={onClose}
      actions={
        may && (
          <>
            {queued && <button onClick={() => void act("front")}>Move to the top</button>}
            {queued && <button onClick={() => void act("back")}>Move to the end</button>}
            {queued && (
              <button onClick={() => void act(job.held ? "unhold" : "hold")}>
                {job.held ? "Let it start" : "Hold"}
              </button>
            )}
            <button class="danger" onClick={() => (sure ? void act("cancel") : setSure(true))}>
              {sure ? "Yes, cancel it" : "Cancel it"}
            </button>
          </>
        )
      }
    >
      {wrong && <Problem message={wrong} />}
      <dl class="facts">
        <Fact name="User" value={`${job.user}, group ${job.group}`} />
        <Fact name="State" value={queued ? (job.held ? "held" : "waits") : `${job.state.toLowerCase()} on ${job.worker}`} />
        {queued && <Fact name="Why" value={[reason(job.wait_reason), job.wait_detail].filter(Boolean).join(": ")} />}
        {job.blocker && <Fact name="In its way" value={job.blocker.name} />}
        {job.place !== null && (
          <Fact name="Place" value={`${job.place.toLocaleString("en")} of all, ${job.own_place} of the user's own`} />
        )}
        {queued && !job.held && (
          <Fact
            name="Starts in about"
            value={
              job.start_p50_ms
                ? `${soon(job.start_p50_ms, now)}; in 9 of 10 cases within ${duration((job.start_p90_ms - now) / 1000)}`
                : "not foreseen"
            }
          />
        )}
        <Fact name="Posted" value={`${when(job.submitted_ms, now)}, ${duration((now - job.submitted_ms) / 1000)} ago`} />
        {job.bytes > 0 && <Fact name={queued ? "Needs" : "Promised"} value={bytes(job.bytes)} />}
        <Fact name="Lane" value={job.lane} />
      </dl>
      <p>
        <a href={href("jobs", [job.id])}>Its nodes, memory and history</a>
      </p>
    </Dialog>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
