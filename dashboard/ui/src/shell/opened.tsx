import { Component, type ComponentChildren, type FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Page, PageProps } from "../pages";
import { pagesOf } from "../pages";
import { Empty } from "../parts/empty";
import { Problem } from "../parts/problem";
import { href, type Route } from "../router";
import type { Session } from "../session";
import type { Source } from "../source";

interface Props {
  route: Route;
  session: Session;
  source: Source;
}

/** The page that the route names, once its chunk is there. */
export function Opened({ route, session, source }: Props) {
  const pages = pagesOf(session.role, source.pages);
  const page = route.page ? pages.find((one) => one.name === route.page) : pages[0];
  useEffect(() => {
    document.title = page ? `${page.title} · vramgate` : "vramgate";
    window.scrollTo(0, 0);
  }, [page?.name]);
  if (!page) {
    return (
      <Empty title="There is no such page">
        Or you may not see it. <a href={href("")}>Go to the overview</a>, or ask an admin.
      </Empty>
    );
  }
  return (
    <Broken key={page.name}>
      <Loaded page={page} route={route} session={session} />
    </Broken>
  );
}

function Loaded({ page, route, session }: { page: Page } & PageProps) {
  const [shown, set] = useState<{ Body: FunctionComponent<PageProps> } | null>(null);
  const [failed, fail] = useState(false);
  useEffect(() => {
    let left = false;
    page.load().then(
      (chunk) => !left && set({ Body: chunk.default }),
      () => !left && fail(true),
    );
    return () => void (left = true);
  }, [page]);
  if (failed) {
    return <Problem message="This page could not be loaded. Was vramgate updated? Reload to get its new pages." />;
  }
  if (!shown) return <p class="first" role="status">Loading…</p>;
  return (
    <div class={`page-${page.name}`}>
      <shown.Body route={route} session={session} />
    </div>
  );
}

/** Keeps a page's error to that page, and says it. */
class Broken extends Component<{ children: ComponentChildren }, { error: string }> {
  override state = { error: "" };

  static override getDerivedStateFromError(error: unknown): { error: string } {
    return { error: error instanceof Error ? error.message : String(error) };
  }

  override componentDidCatch(error: unknown): void {
    console.error(error);
  }

  override render(): ComponentChildren {
    if (!this.state.error) return this.props.children;
    return (
      <Problem
        message={`This page broke: ${this.state.error}. Reload it; if it happens again, tell the developers what you did.`}
        retry={() => this.setState({ error: "" })}
      />
    );
  }
}
