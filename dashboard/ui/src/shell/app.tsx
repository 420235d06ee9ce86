import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { SourceContext } from "../api";
import { listen } from "../keys";
import { NOTHING, useLive, type View, ViewContext } from "../live";
import { useRoute } from "../router";
import { sessionOf } from "../session";
import type { Source } from "../source";
import { followTheme } from "../theme";
import { LineBanner } from "./banner";
import { MaintenanceBanner } from "./maintenance_banner";
import { Navigation } from "./navigation";
import { Opened } from "./opened";

/** Show the dashboard with what this source knows. */
export function start(source: Source): void {
  followTheme();
  listen();
  const root = document.getElementById("app");
  if (root) render(<App source={source} />, root);
}

function App({ source }: { source: Source }) {
  const [view, show] = useState<View>(NOTHING);
  const route = useRoute();
  useEffect(() => source.watch?.(show), [source]);

  const session = useMemo(
    () => (view.user ? sessionOf(view.user, view.role) : source.session),
    [source, view.user, view.role],
  );

  // The same until one of these is another: with live figures only what shows them is drawn anew.
  const frame = useMemo(
    () => (
      <>
        <a class="skip" href="#main" onClick={skip}>
          Skip to the page
        </a>
        <Navigation route={route} session={session} source={source} />
        <div class="room">
          {source.watch && <LineBanner />}
          {source.watch && session && <MaintenanceBanner />}
          <main id="main" tabIndex={-1}>
            {session ? <Opened route={route} session={session} source={source} /> : <Waiting />}
          </main>
        </div>
      </>
    ),
    [route, session, source],
  );
  return (
    <SourceContext.Provider value={source}>
      <ViewContext.Provider value={view}>{frame}</ViewContext.Provider>
    </SourceContext.Provider>
  );
}

function Waiting() {
  const view = useLive();
  return (
    <p class="first" role="status">
      {view.notice}
      {!view.notice && view.line === "disconnected" && "The server does not answer. This page tries again by itself."}
      {!view.notice && view.line !== "disconnected" && "Connecting…"}
    </p>
  );
}

// A hash names a page here, so that the link cannot be an ordinary one.
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
