import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import type { QueryChange } from "./router";
import { type Answer, httpSource, type Problem, type Source } from "./source";

export type { Answer, Problem, Source } from "./source";

/** Where answers come from; `start` sets it. */
export const SourceContext = createContext<Source>(httpSource());

/** The source, for downloads (`url`), actions (`send`) and what is asked for at a click (`get`). */
export function useSource(): Source {
  return useContext(SourceContext);
}

export interface Api<T> {
  /** The newest answer; kept while it is asked for anew, and when that fails. */
  data: T | null;
  problem: Problem | null;
  /** Being asked for, for the first time or anew. */
  loading: boolean;
  reload: () => void;
}

/** An answer that has not come after so long is given up when it is asked for anew, ms. */
const STUCK_MS = 30_000;

/**
 * What `GET api/v1/{path}` answers.
 *
 * Another path or query asks anew and forgets the old answer only when the path differs.
 * With `path` null nothing is asked. `everySeconds` asks again while the page can be seen, and
 * when it comes back into sight. What is asked for again meanwhile is asked once the answer is
 * there: a server slower than that is not kept from ever answering.
 */
export function useApi<T>(path: string | null, query: QueryChange = {}, everySeconds = 0): Api<T> {
  const source = useSource();
  const [state, set] = useState<Omit<Api<T>, "reload"> & { path: string | null }>({ path: null, ...NOTHING });
  const ask = useRef<() => void>(nothing);
  const key = JSON.stringify(query);

  useEffect(() => {
    if (path === null) return undefined;
    let asked: { at: number; controller: AbortController } | null = null;
    let again = false;
    const run = (): void => {
      again = asked !== null && Date.now() - asked.at < STUCK_MS;
      if (again) return;
      asked?.controller.abort();
      const mine = { at: Date.now(), controller: new AbortController() };
      asked = mine;
      set((old) => ({ ...(old.path === path ? old : { path, ...NOTHING }), loading: true }));
      source
        .get<T>(path, JSON.parse(key) as QueryChange, mine.controller.signal)
        .then((answer) => {
          if (asked !== mine) return;
          asked = null;
          set((old) =>
            answer.ok
              ? { path, data: answer.data, problem: null, loading: false }
              : { ...old, problem: answer.problem, loading: false },
          );
          if (again) run();
        })
        .catch((error: unknown) => {
          if (!mine.controller.signal.aborted) throw error;
        });
    };
    ask.current = run;
    run();
    return () => {
      ask.current = nothing;
      asked?.controller.abort();
      asked = null;
    };
  }, [source, path, key]);

  useEffect(() => {
    if (!everySeconds || path === null) return undefined;
    const look = (): void => {
      if (!document.hidden) ask.current();
    };
    const timer = window.setInterval(look, everySeconds * 1000);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [everySeconds, path]);

  const reload = useCallback(() => ask.current(), []);
  // before the effect has run the state is another path's
  const { data, problem, loading } = state.path === path ? state : { ...NOTHING, loading: path !== null };
  return { data, problem, loading, reload };
}

const NOTHING = { data: null, problem: null, loading: false };

function nothing(): void {}

/** `POST api/v1/{path}`: `const post = usePost()`. A refusal is a value, not an exception. */
export function usePost(): <T>(path: string, body?: unknown) => Promise<Answer<T>> {
  const source = useSource();
  return useCallback((path, body) => source.send("POST", path, body), [source]);
}
