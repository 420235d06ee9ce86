import { useEffect, useState } from "preact/hooks";
import type { View } from "./live";

/**
 * Server time for clocks beside live figures, renewed with them, and when none have come for a
 * second, or for `everyMs`: a clock that ticked by itself would draw all that beside it again.
 *
 * Without a line nothing is known of now: all clocks stand where the last figures left them.
 */
export function useLiveNow(view: View, everyMs = 1000): number {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => tick((n) => n + 1), everyMs);
    return () => window.clearInterval(timer);
  }, [everyMs, view.nowMs]);
  return view.line === "live" ? Math.max(view.nowMs, Date.now() + view.skewMs) : view.nowMs;
}
