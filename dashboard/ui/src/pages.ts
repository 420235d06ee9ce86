import type { FunctionComponent } from "preact";
import type { Pool } from "./live_tables";
import type { Route } from "./router";
import type { Session } from "./session";

export interface PageProps {
  route: Route;
  session: Session;
}

export interface Page {
  /** First part of its route, and its folder below `pages/`. */
  name: string;
  title: string;
  /** Opens it after `g`. */
  shortcut: string;
  /** Who has it; null: everybody. */
  roles: readonly string[] | null;
  /** Whether a phone's bar has it; the rest is in its menu. */
  first?: boolean;
  /** A figure beside its name, of what is live; null: none. */
  badge?: (pool: Pool) => Badge | null;
  load: () => Promise<{ default: FunctionComponent<PageProps> }>;
}

export interface Badge {
  text: string;
  /** The same in words. */
  title: string;
  tone: "warn" | "bad";
}

/** All pages in the order of the navigation; the first one is home. Each is a chunk of its own. */
export const PAGES: readonly Page[] = [
  {
    name: "overview",
    title: "Overview",
    shortcut: "o",
    roles: null,
    first: true,
    load: () => import("./pages/overview/page"),
  },
  {
    name: "queue",
    title: "Queue",
    shortcut: "q",
    roles: null,
    first: true,
    load: () => import("./pages/queue/page"),
  },
  {
    name: "gpus",
    title: "GPUs",
    shortcut: "g",
    roles: null,
    first: true,
    load: () => import("./pages/gpus/page"),
  },
  {
    name: "jobs",
    title: "Jobs",
    shortcut: "j",
    roles: null,
    load: () => import("./pages/jobs/page"),
  },
  {
    name: "workflows",
    title: "Workflows",
    shortcut: "w",
    roles: null,
    load: () => import("./pages/workflows/page"),
  },
  {
    name: "users",
    title: "Users",
    shortcut: "u",
    roles: null,
    load: () => import("./pages/users/page"),
  },
  {
    name: "contention",
    title: "Contention",
    shortcut: "c",
    roles: null,
    load: () => import("./pages/contention/page"),
  },
  {
    name: "alerts",
    title: "Alerts",
    shortcut: "a",
    roles: null,
    badge: alertBadge,
    load: () => import("./pages/alerts/page"),
  },
  {
    name: "advice",
    title: "Advice",
    shortcut: "v",
    roles: null,
    load: () => import("./pages/advice/page"),
  },
  {
    name: "replay",
    title: "Replay",
    shortcut: "r",
    roles: null,
    load: () => import("./pages/replay/page"),
  },
  {
    name: "workers",
    title: "Workers",
    shortcut: "k",
    roles: ["admin"],
    load: () => import("./pages/workers/page"),
  },
  {
    name: "settings",
    title: "Settings",
    shortcut: "s",
    roles: ["admin"],
    load: () => import("./pages/settings/page"),
  },
  {
    name: "audit",
    title: "Audit",
    shortcut: "l",
    roles: ["admin"],
    load: () => import("./pages/audit/page"),
  },
  {
    name: "api",
    title: "API",
    shortcut: "i",
    roles: null,
    load: () => import("./pages/api/page"),
  },
];

function alertBadge(pool: Pool): Badge | null {
  if (pool.alerts_unwatched) return { text: "?", title: "Nobody looks at the rules", tone: "bad" };
  if (!pool.alerts) return null;
  const title = `${pool.alerts} firing, ${pool.alerts_critical} of them critical`;
  return { text: String(pool.alerts), title, tone: pool.alerts_critical ? "bad" : "warn" };
}

/** The pages that somebody with this role has. */
export function pagesOf(role: string, names: readonly string[] | null = null): Page[] {
  return PAGES.filter(
    (page) => (!page.roles || page.roles.includes(role)) && (!names || names.includes(page.name)),
  );
}
