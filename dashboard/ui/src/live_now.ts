import type { View } from "./live";
import { useNow } from "./now";

/**
 * Server time for clocks beside live figures, renewed each second.
 *
 * Without a line nothing is known of now: all clocks stand where the last figures left them.
 */
export function useLiveNow(view: View): number {
  const now = useNow();
  return view.line === "live" ? Math.max(view.nowMs, now + view.skewMs) : view.nowMs;
}
