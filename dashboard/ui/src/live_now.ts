import type { View } from "./live";
import { useNow } from "./now";

/**
 * Server time for clocks beside live figures, renewed each second, or each `everyMs`.
 *
 * Without a line nothing is known of now: all clocks stand where the last figures left them.
 */
export function useLiveNow(view: View, everyMs = 1000): number {
  const now = useNow(everyMs);
  return view.line === "live" ? Math.max(view.nowMs, now + view.skewMs) : view.nowMs;
}
