import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { took } from "../../format";
import { zoomTo } from "../../parts/time_span";
import { setQuery, useRoute } from "../../router";
import type { Range } from "./job";
import { Lane } from "./lane";
import { LanesKey } from "./lanes_key";
import type { Move, NodeBar } from "./types";

/** Height of a row, px; the style sheet has the same. */
const ROW = 26;
const TALLEST = 20 * ROW;
/** Rows drawn beyond those that are seen. */
const SPARE = 6;

interface Props {
  nodes: readonly NodeBar[];
  moves: readonly Move[];
  whole: Range;
  shown: Range;
  running: boolean;
  selected: string;
}

/** One row for each node; only those in sight are drawn. */
export function Lanes({ nodes, moves, whole, shown, running, selected }: Props) {
  const { query } = useRoute();
  const slowest = query.order === "slowest";
  const cached = query.cached !== "0";
  const rows = useMemo(() => sorted(nodes, slowest, cached), [nodes, slowest, cached]);
  const loads = useMemo(() => byNode(moves), [moves]);
  const room = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const at = rows.findIndex((bar) => bar.node === selected);

  useEffect(() => {
    const element = room.current;
    if (!element || at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    const low = (at + 1) * ROW - element.clientHeight;
    if (low > element.scrollTop) element.scrollTop = low;
    // not each time that a running job is told anew: somebody may have scrolled on
  }, [selected, at < 0, slowest]);

  const height = Math.min(TALLEST, rows.length * ROW);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + SPARE);
  const select = (n: number): void => {
    const bar = rows[Math.min(rows.length - 1, Math.max(0, n))];
    if (bar) setQuery({ node: bar.node });
  };
  const moved = (event: KeyboardEvent): void => {
    const page = Math.floor(height / ROW) - 1;
    const to = {
      ArrowUp: at - 1,
      ArrowDown: at + 1,
      PageUp: at - page,
      PageDown: at + page,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    const bar = rows[at];
    if (event.key === "Escape") setQuery({ node: null });
    else if (event.key === "z" && bar?.reached) zoomOn(bar);
    else if (to === undefined) return;
    else select(to);
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="lanes">
      <Controls slowest={slowest} cached={cached} nodes={nodes} />
      <Ruler whole={whole} shown={shown} />
      <div
        class="lanes-room"
        ref={room}
        role="listbox"
        tabIndex={0}
        aria-label="Nodes. Arrow keys choose one and show what it was given; z zooms to it."
        aria-activedescendant={at < 0 ? undefined : `lane-${at}`}
        style={{ height: `${height}px` }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={moved}
      >
        <div role="presentation" style={{ height: `${first * ROW}px` }} />
        {rows.slice(first, last).map((bar, n) => (
          <Lane
            key={`${bar.node} ${bar.reached}`}
            id={`lane-${first + n}`}
            place={first + n + 1}
            of={rows.length}
            bar={bar}
            loads={loads.get(bar.node) ?? NONE}
            shown={shown}
            begin={whole.from}
            running={running}
            selected={bar.node === selected}
            onSelect={() => select(first + n)}
            onZoom={() => bar.reached && zoomOn(bar)}
          />
        ))}
        <div role="presentation" style={{ height: `${(rows.length - last) * ROW}px` }} />
      </div>
      {rows.length === 0 && <p class="empty">No probe told of its nodes, and its graph is not kept.</p>}
      <LanesKey />
    </div>
  );
}

const NONE: readonly Move[] = [];

function zoomOn(bar: NodeBar): void {
  const margin = Math.max(50, bar.seconds * 100);
  zoomTo(bar.started_ms - margin, bar.started_ms + bar.seconds * 1000 + margin);
}

function sorted(nodes: readonly NodeBar[], slowest: boolean, cached: boolean): NodeBar[] {
  const kept = nodes.filter((bar) => cached || bar.state !== "cached");
  return slowest ? [...kept].sort((a, b) => b.seconds - a.seconds) : kept;
}

function byNode(moves: readonly Move[]): Map<string, Move[]> {
  const found = new Map<string, Move[]>();
  for (const move of moves) {
    if (move.what !== "load") continue;
    const known = found.get(move.node);
    if (known) known.push(move);
    else found.set(move.node, [move]);
  }
  return found;
}

function Controls({ slowest, cached, nodes }: { slowest: boolean; cached: boolean; nodes: readonly NodeBar[] }) {
  const hidden = nodes.filter((bar) => bar.state === "cached").length;
  return (
    <div class="lanes-controls">
      <select
        aria-label="Order of the nodes"
        value={slowest ? "slowest" : ""}
        onChange={(event) => setQuery({ order: event.currentTarget.value })}
      >
        <option value="">In the order they ran</option>
        <option value="slowest">Slowest first</option>
      </select>
      {hidden > 0 && (
        <label>
          <input
            type="checkbox"
            checked={cached}
            onChange={(event) => setQuery({ cached: event.currentTarget.checked ? null : "0" })}
          />{" "}
          {hidden.toLocaleString("en")} cached
        </label>
      )}
    </div>
  );
}

/** Seconds since the attempt's start, above the rows. */
function Ruler({ whole, shown }: { whole: Range; shown: Range }) {
  const marks = 5;
  const step = (shown.until - shown.from) / marks;
  return (
    <div class="ruler" aria-hidden="true">
      {Array.from({ length: marks }, (_, n) => (
        <span key={n} style={{ left: `${(100 * n) / marks}%` }}>
          {sinceStart((shown.from + n * step - whole.from) / 1000)}
        </span>
      ))}
    </div>
  );
}

function sinceStart(seconds: number): string {
  if (Math.abs(seconds) < 0.0005) return "0 s";
  return seconds < 0 ? `−${took(-seconds)}` : took(seconds);
}
