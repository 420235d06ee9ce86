import { useMemo, useState } from "preact/hooks";
import { useLive } from "../live";
import { useNow } from "../now";
import { setQuery, useRoute } from "../router";

const HOUR_MS = 3_600_000;
const PRESETS = [
  ["15min", "15 min", HOUR_MS / 4],
  ["1h", "1 hour", HOUR_MS],
  ["6h", "6 hours", 6 * HOUR_MS],
  ["24h", "24 hours", 24 * HOUR_MS],
  ["7d", "7 days", 168 * HOUR_MS],
  ["30d", "30 days", 720 * HOUR_MS],
  ["90d", "90 days", 2160 * HOUR_MS],
] as const;

export type Preset = (typeof PRESETS)[number][0];

export interface Span {
  /** Milliseconds since the epoch. */
  from: number;
  until: number;
  /** Its end is now, and moves: a preset. */
  moving: boolean;
  /** For `useApi`. */
  query: { from: number; until: number };
}

/**
 * The span of `?from=&until=` (ms since the epoch) or `?last=`, else the last `preset`.
 *
 * Now is the server's. A moving span is renewed ten times while a chart of 300 columns moves on by one column.
 */
export function useSpan(preset: Preset = "24h"): Span {
  const { query } = useRoute();
  const [, , lengthMs] = PRESETS.find(([name]) => name === (query.last ?? preset)) ?? PRESETS[3];
  const everyMs = Math.min(600_000, Math.max(10_000, lengthMs / 300));
  const now = Math.ceil((useNow(10_000) + useLive().skewMs) / everyMs) * everyMs;
  const from = Number(query.from);
  const until = Number(query.until);
  const fixed = query.from !== undefined && query.until !== undefined && until > from;
  return useMemo(() => {
    const span = fixed ? { from, until } : { from: now - lengthMs, until: now };
    return { ...span, moving: !fixed, query: span };
  }, [fixed, from, until, fixed ? 0 : now, lengthMs]);
}

/** Show this span, and let "back" return to the one before: what a brush does. */
export function zoomTo(fromMs: number, untilMs: number): void {
  const least = Math.max(1000, untilMs - fromMs);
  const span = { from: Math.floor(fromMs), until: Math.ceil(fromMs + least), last: null };
  setQuery(span, { push: true });
}

/** Chooses the page's span, by name or by its ends. */
export function TimeSpan({ preset = "24h" }: { preset?: Preset }) {
  const { query } = useRoute();
  const span = useSpan(preset);
  const [exact, setExact] = useState(false);
  const chosen = span.moving ? (query.last ?? preset) : "exact";
  const choose = (name: string): void => {
    if (name === "exact") return setExact(true);
    setExact(false);
    setQuery({ from: null, until: null, last: name === preset ? null : name });
  };
  const end = (which: "from" | "until", text: string): void => {
    const at = new Date(text).getTime();
    if (Number.isNaN(at)) return;
    const next = { from: span.from, until: span.until, [which]: at };
    if (next.until > next.from) setQuery({ ...next, last: null });
  };
  return (
    <div class="span" role="group" aria-label="Time shown">
      <select aria-label="Time" value={exact ? "exact" : chosen} onChange={(e) => choose(e.currentTarget.value)}>
        {PRESETS.map(([name, title]) => (
          <option key={name} value={name}>
            Last {title}
          </option>
        ))}
        <option value="exact">From … until …</option>
      </select>
      {(exact || !span.moving) && (
        <>
          <input
            type="datetime-local"
            aria-label="From"
            value={local(span.from)}
            onChange={(e) => end("from", e.currentTarget.value)}
          />
          <input
            type="datetime-local"
            aria-label="Until"
            value={local(span.until)}
            onChange={(e) => end("until", e.currentTarget.value)}
          />
        </>
      )}
    </div>
  );
}

/** As `datetime-local` wants it: without a zone, in this browser's. */
function local(ms: number): string {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
