import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { setQuery, useRoute } from "../router";

export interface Tab {
  name: string;
  title: string;
  show: () => ComponentChildren;
}

interface Props {
  label: string;
  tabs: readonly Tab[];
  /** Name in the route's query, so that a link opens the same tab. */
  query?: string;
}

/** Parts of a page of which one is seen. */
export function Tabs({ label, tabs, query = "tab" }: Props) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const wanted = useRoute().query[query];
  const at = Math.max(0, tabs.findIndex((tab) => tab.name === wanted));
  const open = (n: number): void => {
    const next = (n + tabs.length) % tabs.length;
    setQuery({ [query]: next === 0 ? null : tabs[next]?.name });
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[next]?.focus();
  };
  const moved = (event: KeyboardEvent): void => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    open(to);
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={moved}>
        {tabs.map((tab, n) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            id={`${id}-${tab.name}`}
            aria-selected={n === at}
            aria-controls={`${id}-panel`}
            tabIndex={n === at ? 0 : -1}
            onClick={() => open(n)}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${tabs[at]?.name}`}>
        {tabs[at]?.show()}
      </div>
    </>
  );
}
