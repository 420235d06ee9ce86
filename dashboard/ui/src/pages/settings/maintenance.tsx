import { useState } from "preact/hooks";
import { useApi, useSource } from "../../api";
import { when } from "../../format";
import { useLive } from "../../live";
import { Chip } from "../../parts/chip";

interface Maintenance {
  on: boolean;
  message: string;
  until_ms: number | null;
}

const HOUR_MS = 3_600_000;
const ENDS: [string, number | null][] = [
  ["when I end it", null],
  ["in 30 minutes", HOUR_MS / 2],
  ["in 1 hour", HOUR_MS],
  ["in 2 hours", 2 * HOUR_MS],
  ["in 8 hours", 8 * HOUR_MS],
];

/** Let new prompts wait, and start them again. */
export function MaintenancePanel() {
  const source = useSource();
  const { skewMs } = useLive();
  const { data, reload } = useApi<Maintenance>("maintenance", {}, 15);
  const [message, setMessage] = useState("");
  const [end, setEnd] = useState(0);
  const [problem, setProblem] = useState("");

  const put = async (on: boolean): Promise<void> => {
    const after = on ? (ENDS[end]?.[1] ?? null) : null;
    const until_ms = after === null ? null : Date.now() + skewMs + after;
    const answer = await source.send("PUT", "maintenance", { on, message: on ? message : "", until_ms });
    setProblem(answer.ok ? "" : answer.problem.message);
    reload();
  };
  if (!data) return null;
  return (
    <section class="panel" aria-label="Maintenance">
      <div class="card-head">
        <h2>Maintenance</h2>
        {data.on ? <Chip tone="warn">on</Chip> : <Chip tone="good">off</Chip>}
      </div>
      {data.on ? (
        <div class="limit-line">
          <p>
            New prompts are taken and wait; what runs ends.
            {data.message && ` “${data.message}”`}
            {data.until_ms ? ` Ends by itself ${when(data.until_ms)}.` : " Ends when somebody ends it."}
          </p>
          <button type="button" onClick={() => void put(false)}>
            Let prompts start again
          </button>
        </div>
      ) : (
        <form
          class="limit-line"
          onSubmit={(event) => {
            event.preventDefault();
            void put(true);
          }}
        >
          <label>
            Message{" "}
            <input
              type="text"
              maxLength={300}
              value={message}
              placeholder="why, for everybody who waits"
              onInput={(event) => setMessage(event.currentTarget.value)}
            />
          </label>
          <label>
            Ends{" "}
            <select value={end} onChange={(event) => setEnd(Number(event.currentTarget.value))}>
              {ENDS.map(([words], n) => (
                <option key={words} value={n}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          <button type="submit">Start nothing new</button>
        </form>
      )}
      {problem && (
        <p class="wrong" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
