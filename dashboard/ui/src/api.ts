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

/**
 * What `GET api/v1/{path}` answers.
 *
 * Another path or query asks anew and forgets the old answer only when the path differs.
 * With `path` null nothing is asked. `everySeconds` asks again, while the page can be seen.
 */
export function useApi<T>(path: string | null, query: QueryChange = {}, everySeconds = 0): Api<T> {
  const source = useSource();
  const [state, set] = useState<Omit<Api<T>, "reload">>(NOTHING);
  const [turn, again] = useState(0);
  const asked = useRef<string | null>(null);
  const key = JSON.stringify(query);

  useEffect(() => {
    if (path === null) return set(NOTHING);
    const controller = new AbortController();
    const same = asked.current === path;
    asked.current = path;
    set((old) => (same ? { ...old, loading: true } : { ...NOTHING, loading: true }));
    source
      .get<T>(path, JSON.parse(key) as QueryChange, controller.signal)
      .then((answer) => {
        if (controller.signal.aborted) return;
        set((old) =>
          answer.ok
            ? { data: answer.data, problem: null, loading: false }
            : { data: old.data, problem: answer.problem, loading: false },
        );
      })
      .catch((error: unknown) => {
        if (!controller.signal.aborted) throw error;
      });
    return () => controller.abort();
  }, [source, path, key, turn]);

  useEffect(() => {
    if (!everySeconds || path === null) return undefined;
    const timer = window.setInterval(() => {
      if (!document.hidden) again((n) => n + 1);
    }, everySeconds * 1000);
    return () => window.clearInterval(timer);
  }, [everySeconds, path]);

  const reload = useCallback(() => again((n) => n + 1), []);
  return { ...state, reload };
}

const NOTHING = { data: null, problem: null, loading: false };

/** `POST api/v1/{path}`: `const post = usePost()`. A refusal is a value, not an exception. */
export function usePost(): <T>(path: string, body?: unknown) => Promise<Answer<T>> {
  const source = useSource();
  return useCallback((path, body) => source.send("POST", path, body), [source]);
}
