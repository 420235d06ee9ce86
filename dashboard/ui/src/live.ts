import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { backfilled, type Curves, extended } from "./live_curves";
import { changed, type Gone, NO_TABLES, type Put, type Tables } from "./live_tables";

/** The server speaks at least every 5 s: silence for longer than this is a dead line. */
const SILENCE_MS = 12_000;
/** A line that is back at once (the server renews it every ten minutes) is no news. */
const PATIENCE_MS = 1_500;
const RETRIES_MS = [200, 1_000, 2_000, 5_000];

export type Line = "connecting" | "live" | "disconnected" | "unavailable";

/** The pool as the server tells it just now; the newest figures, even when the line is down. */
export interface View extends Tables {
  line: Line;
  /** What the server says of itself when it has no figures. */
  notice: string;
  /** Server time of the newest figures; 0: there are none yet. */
  nowMs: number;
  /** Server's clock less ours. */
  skewMs: number;
  user: string;
  role: string;
  /** By GPU. */
  curves: Curves;
}

export const NOTHING: View = {
  ...NO_TABLES,
  line: "connecting",
  notice: "",
  nowMs: 0,
  skewMs: 0,
  user: "",
  role: "",
  curves: {},
};

type Message =
  | {
      type: "snapshot";
      life: string;
      version: number;
      now_ms: number;
      user: string;
      role: string;
      put: Put;
      curves: Curves;
    }
  | { type: "update"; version: number; now_ms: number; put: Put; gone: Gone; curves?: Curves }
  | { type: "still" }
  | { type: "unavailable"; user: string; role: string; message: string };

/** Keeps a view of the pool up to date until closed; `show` gets each new one. */
export type Watch = (show: (view: View) => void) => () => void;

export const ViewContext = createContext<View>(NOTHING);

/** What is known of the pool just now. */
export function useLive(): View {
  return useContext(ViewContext);
}

/** The view after a message. */
export function heard(view: View, message: Message): View {
  switch (message.type) {
    case "snapshot": {
      const { user, role, curves } = message;
      const tables = changed(NO_TABLES, message.put, {});
      return { ...view, ...tables, ...now(message.now_ms), user, role, curves };
    }
    case "update": {
      const tables = changed(view, message.put, message.gone);
      const before = message.curves ? backfilled(view.curves, message.curves) : view.curves;
      const curves = extended(before, tables, message.now_ms);
      return { ...view, ...tables, ...now(message.now_ms), curves };
    }
    case "unavailable": {
      const { user, role } = message;
      return { ...view, line: "unavailable", notice: message.message, user, role };
    }
    case "still":
      return view;
  }
}

function now(nowMs: number): Pick<View, "line" | "notice" | "nowMs" | "skewMs"> {
  return { line: "live", notice: "", nowMs, skewMs: nowMs - Date.now() };
}

/** Over a WebSocket to the server that this page came from. */
export const watch: Watch = (show) => {
  let view = NOTHING;
  let socket: WebSocket | null = null;
  /** Where we are in the server's telling: what comes after it is sent when we come back. */
  let place = { life: "", version: 0 };
  let failures = 0;
  let closed = false;
  let silence: number | undefined;
  let retry: number | undefined;
  let patience: number | undefined;

  const set = (next: View): void => {
    if (next === view) return;
    view = next;
    show(view);
  };

  const receive = (message: Message): void => {
    window.clearTimeout(silence);
    silence = window.setTimeout(() => socket?.close(), SILENCE_MS);
    failures = 0;
    window.clearTimeout(patience);
    patience = undefined;
    if (message.type === "snapshot") place = { life: message.life, version: message.version };
    if (message.type === "update") place = { ...place, version: message.version };
    const next = heard(view, message);
    // The line is back and nothing has changed meanwhile.
    set(message.type === "still" && next.line === "disconnected" ? { ...next, line: "live" } : next);
  };

  const lost = (): void => {
    window.clearTimeout(silence);
    socket = null;
    if (closed) return;
    patience ??= window.setTimeout(() => set({ ...view, line: "disconnected" }), PATIENCE_MS);
    const wait = RETRIES_MS[Math.min(failures, RETRIES_MS.length - 1)];
    failures += 1;
    retry = window.setTimeout(connect, wait);
  };

  const connect = (): void => {
    const url = new URL("api/v1/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    if (place.life) url.search = new URLSearchParams({ life: place.life, version: `${place.version}` }).toString();
    const fresh = new WebSocket(url);
    socket = fresh;
    fresh.onmessage = (event) => receive(JSON.parse(event.data as string) as Message);
    fresh.onclose = () => {
      if (socket === fresh) lost();
    };
    silence = window.setTimeout(() => fresh.close(), SILENCE_MS);
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
