import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useSource } from "../../api";
import { useKeys } from "../../keys";
import type { PageProps } from "../../pages";
import { TimeSpan, useSpan } from "../../parts/time_span";
import type { View } from "../../recording/draw";
import { type Model, model } from "../../recording/model";
import { SPEEDS, speedFor, usePlayer } from "../../recording/player";
import { read, type Read, readFile } from "../../recording/read";
import { Take } from "../../recording/take";
import "../../recording/recording.css";
import { Drop } from "./drop";
import { Controls } from "./controls";
import { Side } from "./side";

export interface Loaded {
  name: string;
  model: Model;
}

/** Goes through recordings, one or two side by side. Files stay in this browser. */
export default function Replay({ route }: PageProps) {
  const [sides, setSides] = useState<readonly Loaded[]>([]);
  const [problem, setProblem] = useState("");
  const [view, setView] = useState<View>({ fromMs: 0, untilMs: 1 });
  const length = Math.max(1, ...sides.map((side) => side.model.untilMs - side.model.fromMs));
  const player = usePlayer(length);

  // files are read for a while: what was opened meanwhile stays
  const now = useRef(sides);
  now.current = sides;
  const put = (some: readonly Loaded[]): void => {
    const next = [...now.current, ...some].slice(-2);
    now.current = next;
    const longest = Math.max(1, ...next.map((side) => side.model.untilMs - side.model.fromMs));
    setProblem("");
    setSides(next);
    setView({ fromMs: 0, untilMs: longest });
    player.seek(0);
    player.setSpeed(speedFor(longest));
  };
  const open = async (files: readonly File[]): Promise<void> => {
    const some: Loaded[] = [];
    for (const file of files.slice(0, 2)) {
      const found = await readFile(file);
      if (!found.ok) return setProblem(`${file.name}: ${found.problem}`);
      some.push({ name: file.name, model: model(found.perf) });
    }
    put(some);
  };
  const add = (name: string, found: Read): void => {
    if (found.ok) put([{ name, model: model(found.perf) }]);
    else setProblem(`${name}: ${found.problem}`);
  };
  const loading = useRecorded(route.query, add);
  usePlayerKeys(player, length);
  const two = sides.length === 2;

  return (
    <div class="page">
      <h1>Replay</h1>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {loading && <p role="status">Reading the recording…</p>}
      {sides.length === 0 && !loading && <Begin onFiles={open} />}
      {sides.length > 0 && (
        <>
          <Controls player={player} length={length} view={view} onView={setView}>
            <Drop small onFiles={open} label={two ? "Open another" : "Open a second beside it"} />
          </Controls>
          <div class={two ? "recorded-all two" : "recorded-all"}>
            {sides.map((side, n) => (
              <Side
                key={`${n}${side.name}`}
                side={side}
                cursor={player.cursor}
                onCursor={player.seek}
                view={view}
                onView={setView}
                onClose={() => setSides(sides.filter((one) => one !== side))}
              />
            ))}
          </div>
        </>
      )}
    </div>
  );
}

/** Nothing is open yet: choose a file, or record something. */
function Begin({ onFiles }: { onFiles: (files: readonly File[]) => void }) {
  const span = useSpan("1h");
  return (
    <>
      <Drop onFiles={onFiles} label="Choose recordings" />
      <section class="panel">
        <h2>Or record what has happened</h2>
        <div class="replay-head">
          <TimeSpan preset="1h" />
          <Take from={span.from} until={span.until} />
        </div>
        <p class="empty">
          Texts are never in a recording, and people have made-up names. A job's page has the same for that job;{" "}
          <code>vramgate record</code> writes one from a terminal.
        </p>
      </section>
    </>
  );
}

/** What a deep link names: `?job=ID`, or `?from=&until=`. */
function useRecorded(query: Record<string, string>, add: (name: string, found: Read) => void): boolean {
  const source = useSource();
  const [loading, set] = useState(false);
  const { job, from, until, user } = query;
  const path = job ? `jobs/${encodeURIComponent(job)}/perf` : from && until ? "perf" : null;
  const address = useMemo(
    () => (path ? source.url(path, job ? { user } : { from, until, user }) : null),
    [source, path, job, from, until, user],
  );
  useEffect(() => {
    if (!address) return undefined;
    const controller = new AbortController();
    set(true);
    fetched(address, controller.signal)
      .then((found) => add(job ? `Job ${job}` : "Recorded", found))
      .catch((error: unknown) => {
        if (!controller.signal.aborted) throw error;
      })
      .finally(() => !controller.signal.aborted && set(false));
    return () => {
      controller.abort();
      set(false);
    };
  }, [address]);
  return loading;
}

async function fetched(address: string, signal: AbortSignal): Promise<Read> {
  let response: Response;
  try {
    response = await fetch(address, { signal, cache: "no-store" });
    const text = await response.text();
    if (response.ok) return read(text);
    const said = (JSON.parse(text) as { error?: string }).error;
    return { ok: false, problem: said ?? `The server answered ${response.status}.` };
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, problem: "The server did not answer, or broke off. Try again." };
  }
}

function usePlayerKeys(player: ReturnType<typeof usePlayer>, length: number): void {
  const at = SPEEDS.findIndex((speed) => speed === player.speed);
  const faster = (by: number): void => player.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))] ?? 1);
  useKeys([
    { keys: " ", does: "Play or pause", run: player.toggle },
    { keys: "]", does: "Play faster", run: () => faster(1) },
    { keys: "[", does: "Play slower", run: () => faster(-1) },
    { keys: ",", does: "A step back", run: () => player.seek(player.cursor - length / 200) },
    { keys: ".", does: "A step on", run: () => player.seek(player.cursor + length / 200) },
  ]);
}
