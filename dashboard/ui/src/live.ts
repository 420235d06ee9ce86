import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Curve, Curves, Message, Overview } from "./types";

/** How far back curves go. */
export const SPAN_MS = 10 * 60 * 1000;
/** The server speaks at least every 5 s: silence for longer than this is a dead line. */
const SILENCE_MS = 12_000;
/** A line that is back at once (the server renews it every ten minutes) is no news. */
const PATIENCE_MS = 1_500;
const RETRIES_MS = [200, 1_000, 2_000, 5_000];

export type Line = "connecting" | "live" | "disconnected" | "unavailable";

export interface View {
  line: Line;
  /** What the server says of itself when it has no figures. */
  notice: string;
  /** The newest figures, even when the line is down; null before the first. */
  overview: Overview | null;
  curves: Curves;
  /** Server's clock less ours. */
  skewMs: number;
}

export const NOTHING: View = {
  line: "connecting",
  notice: "",
  overview: null,
  curves: {},
  skewMs: 0,
};

/** Keeps a view of the pool up to date until closed; `show` gets each new one. */
export type Watch = (show: (view: View) => void) => () => void;

export const ViewContext = createContext<View>(NOTHING);

/** What is known of the pool just now. */
export function useLive(): View {
  return useContext(ViewContext);
}

export const watch: Watch = (show) => {
  let view = NOTHING;
  let socket: WebSocket | null = null;
  let failures = 0;
  let closed = false;
  let silence: number | undefined;
  let retry: number | undefined;
  let patience: number | undefined;

  const set = (change: Partial<View>): void => {
    view = { ...view, ...change };
    show(view);
  };

  const heard = (): void => {
    window.clearTimeout(silence);
    silence = window.setTimeout(() => socket?.close(), SILENCE_MS);
  };

  const alive = (change: Partial<View>): void => {
    failures = 0;
    window.clearTimeout(patience);
    patience = undefined;
    set(change);
  };

  const receive = (message: Message): void => {
    heard();
    switch (message.type) {
      case "snapshot":
        return alive({ ...figures(message.overview), curves: message.curves });
      case "update":
        return alive({ ...figures(message.overview), curves: extend(view.curves, message.overview) });
      case "unavailable":
        return alive({ line: "unavailable", notice: message.message });
      case "still":
        return;
    }
  };

  const lost = (): void => {
    window.clearTimeout(silence);
    socket = null;
    if (closed) return;
    patience ??= window.setTimeout(() => set({ line: "disconnected" }), PATIENCE_MS);
    const wait = RETRIES_MS[Math.min(failures, RETRIES_MS.length - 1)];
    failures += 1;
    retry = window.setTimeout(connect, wait);
  };

  const connect = (): void => {
    const url = new URL("api/v1/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const fresh = new WebSocket(url);
    socket = fresh;
    fresh.onmessage = (event) => receive(JSON.parse(event.data as string) as Message);
    fresh.onclose = () => {
      if (socket === fresh) lost();
    };
    heard();
  };

  connect();
  return () => {
    closed = true;
    window.clearTimeout(retry);
    window.clearTimeout(patience);
    window.clearTimeout(silence);
    socket?.close();
  };
};

function figures(overview: Overview): Partial<View> {
  return { line: "live", notice: "", overview, skewMs: overview.now_ms - Date.now() };
}

/** Curves with one more point each; what is older than the span is dropped. */
function extend(curves: Curves, overview: Overview): Curves {
  const longer: Curves = {};
  for (const gpu of overview.gpus) {
    const old = curves[gpu.id];
    const from = old ? firstWithin(old.at_ms, overview.now_ms - SPAN_MS) : 0;
    const grow = (column: Exclude<keyof Curve, "at_ms">): number[] => [
      ...(old ? old[column].slice(from) : []),
      gpu[column],
    ];
    longer[gpu.id] = {
      at_ms: [...(old ? old.at_ms.slice(from) : []), overview.now_ms],
      foreign_bytes: grow("foreign_bytes"),
      resident_bytes: grow("resident_bytes"),
      reserved_bytes: grow("reserved_bytes"),
      free_bytes: grow("free_bytes"),
    };
  }
  return longer;
}

// The last point before the span stays: it says what held when the span began.
function firstWithin(times: number[], oldest: number): number {
  const index = times.findIndex((time) => time >= oldest);
  return index < 0 ? Math.max(0, times.length - 1) : Math.max(0, index - 1);
}
