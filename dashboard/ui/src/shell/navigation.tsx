import { useState } from "preact/hooks";
import { useKeys } from "../keys";
import { useLive } from "../live";
import { type Page, pagesOf } from "../pages";
import { Chip } from "../parts/chip";
import { Dialog } from "../parts/dialog";
import { go, href, type Route } from "../router";
import type { Session } from "../session";
import type { Source } from "../source";
import { Help } from "./help";
import { ThemeSwitch } from "./theme_switch";

interface Props {
  route: Route;
  session: Session | null;
  source: Source;
}

/** All pages: a bar at the side, or on a phone at the bottom with the rest in a menu. */
export function Navigation({ route, session, source }: Props) {
  const pages = session ? pagesOf(session.role, source.pages) : [];
  const here = route.page || pages[0]?.name || "";
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  useKeys([
    { keys: "?", does: "Show these keys", run: () => setHelp(true) },
    ...pages.map((page) => ({
      keys: `g ${page.shortcut}`,
      does: `Go to ${page.title}`,
      run: () => go(page.name),
    })),
  ]);
  return (
    <header class="side">
      <a class="brand" href={href("")}>
        vramgate
      </a>
      {source.watch && <LineState />}
      <nav aria-label="Pages" class="pages">
        <ul>
          {pages.map((page) => (
            <li key={page.name} class={page.first ? "" : "later"}>
              <PageLink page={page} here={here} />
            </li>
          ))}
        </ul>
      </nav>
      <button type="button" class="menu-button quiet" aria-haspopup="dialog" onClick={() => setMenu(true)}>
        More
      </button>
      <div class="side-foot">
        {session && (
          <span class="muted small who" title="Who you are here">
            {session.user}
            {session.role !== "artist" && ` · ${session.role}`}
          </span>
        )}
        <ThemeSwitch />
        <button type="button" class="quiet" onClick={() => setHelp(true)}>
          Keys <kbd>?</kbd>
        </button>
      </div>
      <Dialog open={menu} title="Pages" onClose={() => setMenu(false)}>
        <ul class="menu" onClick={() => setMenu(false)}>
          {pages.map((page) => (
            <li key={page.name}>
              <PageLink page={page} here={here} />
            </li>
          ))}
        </ul>
        <ThemeSwitch />
      </Dialog>
      <Help open={help} onClose={() => setHelp(false)} />
    </header>
  );
}

function PageLink({ page, here }: { page: Page; here: string }) {
  return (
    <a href={href(page.name)} aria-current={page.name === here ? "page" : undefined}>
      {page.title}
      {page.badge && <PageBadge badge={page.badge} />}
    </a>
  );
}

function PageBadge({ badge }: { badge: NonNullable<Page["badge"]> }) {
  const pool = useLive().pool;
  const told = pool && badge(pool);
  if (!told) return null;
  return (
    <>
      {" "}
      <Chip tone={told.tone} title={told.title}>
        {told.text}
        <span class="hidden"> {told.title}</span>
      </Chip>
    </>
  );
}

function LineState() {
  const live = useLive().line === "live";
  return <span class={live ? "line live" : "line"}>{live ? "live" : "not live"}</span>;
}
