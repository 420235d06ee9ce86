import { bytes, took } from "../../format";
import type { Range } from "./job";
import type { Move, NodeBar } from "./types";
import { fellBack, nodeName, nodeState, SIGNS, slowness } from "./words";

/** A bar of so many percent has room for its words. */
const INSIDE = 45;

interface Props {
  id: string;
  place: number;
  of: number;
  bar: NodeBar;
  loads: readonly Move[];
  shown: Range;
  /** When its attempt began: it waits for its turn from then on. */
  begin: number;
  running: boolean;
  selected: boolean;
  onSelect: () => void;
  onZoom: () => void;
}

/** One node: its turn (dotted), loading (hatched), running (filled). */
export function Lane(props: Props) {
  const { id, place, of, bar, loads, shown, begin, running, selected } = props;
  const seen = bar.reached || bar.state === "running";
  const slow = bar.slow.length > 0;
  const at = (ms: number): number =>
    Math.min(100, Math.max(0, (100 * (ms - shown.from)) / (shown.until - shown.from)));
  const end = bar.started_ms + bar.seconds * 1000;
  const span = (from: number, until: number) => ({
    left: `${at(from)}%`,
    width: `${Math.max(0, at(until) - at(from))}%`,
  });
  const classes = ["lane", bar.state, slow ? "slow" : "", selected ? "selected" : ""].join(" ");
  return (
    <div
      id={id}
      class={classes}
      role="option"
      aria-selected={selected}
      aria-setsize={of}
      aria-posinset={place}
      onClick={props.onSelect}
      onDblClick={props.onZoom}
    >
      <span class="lane-name" title={`${nodeName(bar)}, node ${bar.node}`}>
        <span class="sign" aria-hidden="true">
          {slow ? "▲" : SIGNS[bar.state]}
        </span>
        <span class="lane-title">{nodeName(bar)}</span>
        <span class="muted small lane-id">{bar.node}</span>
        <span class="hidden">{said(bar, running)}</span>
      </span>
      <span class="lane-bars">
        {seen && bar.state !== "cached" && (
          <>
            <span class="lane-turn" style={span(begin, bar.started_ms)} />
            <span class="lane-run" style={span(bar.started_ms, end)} />
            {loads.map((move) => (
              <span
                key={`${move.at_ms} ${move.model}`}
                class="lane-load"
                title={`loading ${move.model}: ${took(move.seconds)}`}
                style={span(Math.max(bar.started_ms, move.at_ms - move.seconds * 1000), Math.min(end, move.at_ms))}
              />
            ))}
          </>
        )}
        {bar.reached && bar.state === "cached" && (
          <span class="lane-cached" style={{ left: `${at(bar.started_ms)}%` }} />
        )}
        <Label bar={bar} running={running} left={at(bar.started_ms)} right={at(end)} />
      </span>
    </div>
  );
}

/** Within the bar where it is long, else beside it, where there is more room. */
function Label({ bar, running, left, right }: { bar: NodeBar; running: boolean; left: number; right: number }) {
  const quiet = bar.state === "cached" || bar.state === "missing";
  const parts = quiet ? [nodeState(bar, running)] : [took(bar.seconds)];
  if (bar.state !== "done" && !quiet) parts.push(nodeState(bar, running));
  if (bar.fallback) parts.push(fellBack(bar.fallback));
  const inside = !quiet && right - left > INSIDE;
  const style = quiet && !bar.reached ? { left: "0" } : beside(left, right, inside);
  const classes = ["lane-label", quiet ? "muted" : "", inside ? "inside" : ""].join(" ");
  return (
    <span class={classes} style={style}>
      <span>{parts.join(" · ")}</span>
    </span>
  );
}

function beside(left: number, right: number, inside: boolean) {
  if (inside) return { left: `${left}%`, width: `${right - left}%` };
  if (right > 70) return { width: `${left}%`, justifyContent: "flex-end" };
  return { left: `${right}%`, width: `${100 - right}%` };
}

/** What the bar shows, for those who hear it; the label after it says how long it took. */
function said(bar: NodeBar, running: boolean): string {
  const parts = [nodeState(bar, running)];
  if (bar.slow.length > 0) parts.push(slowness(bar));
  if (bar.load_seconds > 0) parts.push(`${took(bar.load_seconds)} of it loading models`);
  if (bar.peak_bytes) parts.push(`peak ${bytes(bar.peak_bytes)}`);
  return `, ${parts.join(", ")}, `;
}
