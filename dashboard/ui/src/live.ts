import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { backfilled, type Curves, extended } from "./live_curves";
import { changed, type Gone, NO_TABLES, type Put, type Tables } from "./live_tables";

/** The server speaks at least every 5 s: silence for longer than this is a dead line. */
const SILENCE_MS = 12_000;
/** A line that is back at once (the server renews it every ten minutes) is no news. */
const PATIENCE_MS = 1_500;
const RETRIES_MS = [200, 1_000, 2_000, 5_000];
/** Who is refused is refused again, until somebody logs in. */
const REFUSED_MS = 30_000;
/** A timer that is late by more than this was held up by the page or by sleep: messages may wait. */
const LATE_MS = 2_000;
/** Our estimate of the server's clock may be off by this, as messages take their time. */
const SKEW_MS = 1_000;

export type Line = "connecting" | "live" | "disconnected" | "unavailable" | "refused";

/** The pool as the server tells it just now; the newest figures, even when the line is down. */
export interface View extends Tables {
  line: Line;
  /** What the server says when it has no figures, or none for us. */
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
      return { ...view, ...tables, ...now(view, message.now_ms), user, role, curves };
    }
    case "update": {
      const tables = changed(view, message.put, message.gone);
      const before = message.curves ? backfilled(view.curves, message.curves) : view.curves;
      const curves = extended(before, tables, message.now_ms);
      return { ...view, ...tables, ...now(view, message.now_ms), curves };
    }
    case "unavailable": {
      const { user, role } = message;
      return { ...view, line: "unavailable", notice: message.message, user, role };
    }
    case "still":
      return view;
  }
}

function now(view: View, nowMs: number): Pick<View, "line" | "notice" | "nowMs" | "skewMs"> {
  return { line: "live", notice: "", nowMs, skewMs: skewOf(view, nowMs - Date.now()) };
}

/** The message that was quickest tells it best; a clock that was set tells it anew. */
function skewOf({ nowMs, skewMs }: View, told: number): number {
  return !nowMs || told > skewMs || skewMs - told > SKEW_MS ? told : skewMs;
}

/** Why there is no socket to be had, as HTTP says it; null: no reason is known. */
export type Why = () => Promise<{ status: number; message: string } | null>;

/** Over a WebSocket to the server that this page came from. */
export function watch(show: (view: View) => void, why: Why): () => void {
  let view = NOTHING;
  let socket: WebSocket | null = null;
  /** Where we are in the server's telling: what comes after it is sent when we come back. */
  let place = { life: "", version: 0 };
  let failures = 0;
  let closed = false;
  let heardAt = 0;
  let silence: number | undefined;
  let retry: number | undefined;
  let patience: number | undefined;

  const set = (next: View): void => {
    if (next === view) return;
    view = next;
    show(view);
  };

  const expect = (ms = SILENCE_MS): void => {
    window.clearTimeout(silence);
    const due = Date.now() + ms;
    silence = window.setTimeout(() => (Date.now() - due > LATE_MS ? expect(LATE_MS) : lost()), ms);
  };

  const receive = (message: Message): void => {
    heardAt = Date.now();
    expect();
    failures = 0;
    window.clearTimeout(patience);
    patience = undefined;
    if (message.type === "snapshot") place = { life: message.life, version: message.version };
    if (message.type === "update") place = { ...place, version: message.version };
    const next = heard(view, message);
    // The line is back and nothing has changed meanwhile.
    const back = message.type === "still" && (next.line === "disconnected" || next.line === "refused");
    set(back ? { ...next, line: "live", notice: "" } : next);
  };

  /** Not waited for its end: a dead line takes its time to close. */
  const lost = (): void => {
    const old = socket;
    socket = null;
    window.clearTimeout(silence);
    old?.close();
    if (closed) return;
    patience ??= window.setTimeout(() => view.line !== "refused" && set({ ...view, line: "disconnected" }), PATIENCE_MS);
    const wait = RETRIES_MS[Math.min(failures, RETRIES_MS.length - 1)];
    failures += 1;
    retry = window.setTimeout(connect, wait);
  };

  /** A browser does not tell a page why its socket was refused. */
  const ask = async (): Promise<void> => {
    const told = await why();
    if (closed || socket?.readyState === WebSocket.OPEN || !told) return;
    set({ ...view, line: "refused", notice: told.message });
    window.clearTimeout(retry);
    retry = window.setTimeout(connect, REFUSED_MS);
  };

  const connect = (): void => {
    window.clearTimeout(retry);
    const url = new URL("api/v1/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    if (place.life) url.search = new URLSearchParams({ life: place.life, version: `${place.version}` }).toString();
    const fresh = new WebSocket(url);
    let opened = false;
    socket = fresh;
    fresh.onopen = () => (opened = true);
    fresh.onmessage = (event) => {
      if (socket === fresh) receive(JSON.parse(event.data as string) as Message);
    };
    fresh.onclose = () => {
      if (socket !== fresh) return;
      lost();
      if (!opened) void ask();
    };
    expect();
  };

  /** Back in sight, or on a network again: what slept through is not waited for. */
  const woken = (): void => {
    if (document.hidden) return;
    if (!socket) connect();
    else if (heardAt && Date.now() - heardAt > SILENCE_MS) lost();
  };

  document.addEventListener("visibilitychange", woken);
  window.addEventListener("online", woken);
  connect();
  return () => {
    closed = true;
    document.removeEventListener("visibilitychange", woken);
    window.removeEventListener("online", woken);
    window.clearTimeout(retry);
    window.clearTimeout(patience);
    lost();
  };
}
