import { count } from "../../format";
import type { View } from "../../live";
import type { QueueRow } from "../../live_tables";
import { Bar } from "../../parts/bar";
import { href } from "../../router";
import type { Session } from "../../session";

const MOST = 12;

/** Queue depth of each user, as bars. */
export function QueueByUser({ view, session }: { view: View; session: Session }) {
  const rows = view.queue.slice(0, MOST);
  const longest = Math.max(1, ...rows.map(depth));
  return (
    <section class="panel" aria-labelledby="queue">
      <h2 id="queue">Queue by user</h2>
      {rows.length === 0 ? (
        <p class="empty">
          Nobody waits. Point a ComfyUI client at <code>{location.origin}</code> and queue a prompt.
        </p>
      ) : (
        <table class="bars">
          <caption class="hidden">Unfinished jobs of each user</caption>
          <thead class="hidden">
            <tr>
              <th scope="col">User</th>
              <th scope="col">Share</th>
              <th scope="col">Jobs</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.id}>
                <th scope="row">{row.id === session.user ? <strong>{row.id}</strong> : row.id}</th>
                <td class="bar">
                  <Bar
                    label={`${row.running} running, ${row.queued} waiting`}
                    total={longest}
                    parts={[
                      { label: "running", value: row.running, tone: "reserved" },
                      { label: "waiting", value: row.queued, tone: "resident" },
                    ]}
                  />
                </td>
                <td class="number">
                  {row.running} running, {row.queued} waiting
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {view.queue.length > MOST && (
        <p class="muted small">
          and {count(view.queue.length - MOST, "user")} more: <a href={href("queue")}>all of the queue</a>
        </p>
      )}
    </section>
  );
}

function depth(row: QueueRow): number {
  return row.queued + row.running;
}
