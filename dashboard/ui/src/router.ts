// Pages are hash routes (`#/jobs/ID?attempt=2`): they work below any mount, and in a file on a disk.
import { useEffect, useState } from "preact/hooks";

export type Query = Record<string, string>;
/** Values to put into a query: null, undefined and "" leave the name out. */
export type QueryChange = Record<string, string | number | boolean | null | undefined>;

export interface Route {
  /** Name of the page; "" is the first one. */
  page: string;
  /** What follows the name, decoded: `#/jobs/ID` has `["ID"]`. */
  args: string[];
  query: Query;
}

/** The route that a hash names. */
export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page = "", ...args] = path.split("/").filter(Boolean).map(decoded);
  return { page, args, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Link to a page: `href("jobs", [id], { attempt: 2 })`. */
export function href(page: string, args: string[] = [], query: QueryChange = {}): string {
  const path = [page, ...args].map(encodeURIComponent).join("/");
  const search = written(query);
  return `#/${path}${search ? `?${search}` : ""}`;
}

/** Open a page, as a link does. */
export function go(page: string, args: string[] = [], query: QueryChange = {}): void {
  location.hash = href(page, args, query);
}

/**
 * Change some names of the query and keep the rest. The entry in the browser's history is
 * replaced, unless `push`: then "back" returns to what was before.
 */
export function setQuery(change: QueryChange, { push = false } = {}): void {
  const { page, args, query } = parse(location.hash);
  const next = href(page, args, { ...query, ...change });
  if (next === location.hash) return;
  if (push) {
    location.hash = next;
    return;
  }
  history.replaceState(history.state, "", next);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The route now; renders anew when it changes. */
export function useRoute(): Route {
  const [route, set] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = (): void => set(parse(location.hash));
    window.addEventListener("hashchange", changed);
    changed();
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}

function written(query: QueryChange): string {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") kept.set(name, String(value));
  }
  return kept.toString();
}

// A link that somebody cut in the middle of an escape is still a link.
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
