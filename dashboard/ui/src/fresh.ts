import { useEffect, useRef } from "preact/hooks";

/** Call `reload` when `key` has changed, at once or so long after the last time. */
export function useFresh(key: unknown, reload: () => void, everyMs: number): void {
  const last = useRef({ at: Date.now(), key });
  useEffect(() => {
    if (last.current.key === key) return undefined;
    last.current.key = key;
    const run = (): void => {
      last.current.at = Date.now();
      reload();
    };
    const wait = last.current.at + everyMs - Date.now();
    if (wait <= 0) return void run();
    const timer = window.setTimeout(run, wait);
    return () => window.clearTimeout(timer);
  }, [key, reload, everyMs]);
}
