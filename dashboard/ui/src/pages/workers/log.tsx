import { useState } from "preact/hooks";
import { useApi } from "../../api";
import { Dialog } from "../../parts/dialog";
import { Problem } from "../../parts/problem";

const LINES = [200, 500, 2000];

/** The end of a worker's log, in front of the page; asked for again every few seconds. */
export function WorkerLog({ worker, onClose }: { worker: string | null; onClose: () => void }) {
  const [lines, setLines] = useState(200);
  const path = worker ? `upkeep/of/${encodeURIComponent(worker)}/log` : null;
  const log = useApi<{ lines: string[] }>(path, { lines }, 5);
  return (
    <Dialog open={worker !== null} title={`Log of ${worker ?? ""}`} onClose={onClose}>
      <p class="muted">
        What this ComfyUI wrote last; people's texts are left out.{" "}
        <label>
          Lines{" "}
          <select value={lines} onChange={(event) => setLines(Number(event.currentTarget.value))}>
            {LINES.map((n) => (
              <option key={n} value={n}>
                {n}
              </option>
            ))}
          </select>
        </label>
      </p>
      {log.problem && <Problem message={log.problem.message} retry={log.reload} />}
      {log.data && (
        <pre class="log" tabIndex={0} aria-label={`Log of ${worker}`}>
          {log.data.lines.join("\n") || "It has written nothing yet."}
        </pre>
      )}
    </Dialog>
  );
}
