import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useTheme } from "../theme";
import { draw, inks, RULER, type View } from "./draw";
import { at } from "./intervals";
import type { Model } from "./model";
import { layOut, type Row, rowAt } from "./tracks";
import type { Move, Node, Run } from "./types";

export type Chosen = { kind: "run"; item: Run } | { kind: "node"; item: Node } | { kind: "move"; item: Move };

interface Props {
  model: Model;
  label: string;
  /** Milliseconds after the begin of the recording: two recordings have them in common. */
  cursor: number;
  onCursor: (offset: number) => void;
  view: View;
  onView: (view: View) => void;
  chosen: Chosen | null;
  onChoose: (chosen: Chosen | null) => void;
  /** px at most; more is scrolled. */
  most?: number;
}

/** Workers, jobs, nodes and memory over time. View and cursor count from the recording's begin. */
export function Timeline(props: Props) {
  const { model, view, cursor, chosen, most = 560 } = props;
  const theme = useTheme();
  const room = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const [size, setSize] = useState({ width: 0, scroll: 0 });
  const { rows, height } = useMemo(() => layOut(model), [model]);
  const shown = Math.min(most, height + RULER + 4);
  const gutter = size.width < 520 ? 58 : 120;

  useEffect(() => {
    const element = room.current;
    if (!element) return undefined;
    const measure = (): void => setSize({ width: element.clientWidth, scroll: element.scrollTop });
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    const wheel = (event: WheelEvent): void => turned(event, latest.current, gutterOf(element));
    // not passive: with Ctrl held the page must not grow
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", measure);
      element.removeEventListener("wheel", wheel);
    };
  }, []);

  useEffect(() => {
    const element = canvas.current;
    const ctx = element?.getContext("2d");
    if (!element || !ctx || size.width === 0) return undefined;
    const frame = requestAnimationFrame(() => {
      const scale = window.devicePixelRatio || 1;
      element.width = Math.round(size.width * scale);
      element.height = Math.round(shown * scale);
      ctx.setTransform(scale, 0, 0, scale, 0, 0);
      const seen = { fromMs: model.fromMs + view.fromMs, untilMs: model.fromMs + view.untilMs };
      const scene = {
        model, rows, view: seen, width: size.width, height: shown, scroll: size.scroll, gutter,
        selected: chosen?.item ?? null, cursorMs: model.fromMs + cursor,
      };
      draw(ctx, scene, inks(element), `11px ${getComputedStyle(element).fontFamily}`);
    });
    return () => cancelAnimationFrame(frame);
  }, [model, rows, view, cursor, chosen, size, shown, theme, gutter]);

  const pointer = usePointer(latest, rows, room, gutter);
  return (
    <div
      class="timeline"
      ref={room}
      style={{ height: `${shown}px` }}
      role="slider"
      aria-label={`${props.label}. Arrow keys move the cursor, plus and minus zoom.`}
      aria-valuemin={0}
      aria-valuemax={Math.round(model.untilMs - model.fromMs)}
      aria-valuenow={Math.round(cursor)}
      aria-valuetext={`${(cursor / 1000).toFixed(1)} seconds after the begin`}
      tabIndex={0}
      onKeyDown={(event) => pressed(event, props)}
      {...pointer}
    >
      <canvas ref={canvas} aria-hidden="true" style={{ width: `${size.width}px`, height: `${shown}px` }} />
      <div style={{ height: `${Math.max(0, height + RULER + 4 - shown)}px` }} />
    </div>
  );
}

function gutterOf(element: HTMLElement): number {
  return element.clientWidth < 520 ? 58 : 120;
}

/** Zoom around a place, a share of the width. */
export function zoomed(view: View, factor: number, place: number, length: number): View {
  const span = Math.min(length, Math.max(2, (view.untilMs - view.fromMs) * factor));
  const around = view.fromMs + (view.untilMs - view.fromMs) * place;
  return kept(around - span * place, span, length);
}

/** A view of this length that does not leave the recording. */
export function kept(from: number, span: number, length: number): View {
  const begin = Math.max(0, Math.min(length - span, from));
  return { fromMs: begin, untilMs: begin + span };
}

function lengthOf({ model }: Props): number {
  return model.untilMs - model.fromMs;
}

function turned(event: WheelEvent, props: Props, gutter: number): void {
  const { view } = props;
  const element = event.currentTarget as HTMLElement;
  const width = Math.max(1, element.clientWidth - gutter);
  const span = view.untilMs - view.fromMs;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    const place = Math.min(1, Math.max(0, (event.clientX - element.getBoundingClientRect().left - gutter) / width));
    props.onView(zoomed(view, Math.exp(event.deltaY / 300), place, lengthOf(props)));
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    const by = ((event.deltaX || event.deltaY) / width) * span;
    props.onView(kept(view.fromMs + by, span, lengthOf(props)));
  }
}

function pressed(event: KeyboardEvent, props: Props): void {
  const { view, cursor } = props;
  const length = lengthOf(props);
  const span = view.untilMs - view.fromMs;
  const step = span / (event.shiftKey ? 10 : 100);
  const to = { ArrowLeft: cursor - step, ArrowRight: cursor + step, Home: 0, End: length }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    const next = Math.min(length, Math.max(0, to));
    props.onCursor(next);
    if (next < view.fromMs || next > view.untilMs) props.onView(kept(next - span / 2, span, length));
    return;
  }
  const factor = { "+": 0.5, "=": 0.5, "-": 2, "0": Infinity }[event.key];
  if (factor === undefined) return;
  event.preventDefault();
  props.onView(factor === Infinity ? { fromMs: 0, untilMs: length } : zoomed(view, factor, (cursor - view.fromMs) / span, length));
}

type Latest = { current: Props };

/** A click chooses and sets the cursor; pulling moves what is seen, above it the cursor. */
function usePointer(latest: Latest, rows: readonly Row[], room: { current: HTMLElement | null }, gutter: number) {
  const pull = useRef<{ x: number; from: number; moved: boolean; ruler: boolean } | null>(null);
  const offset = (x: number): number => {
    const { view } = latest.current;
    const width = Math.max(1, (room.current?.clientWidth ?? 1) - gutter);
    const ms = view.fromMs + ((x - gutter) / width) * (view.untilMs - view.fromMs);
    return Math.min(lengthOf(latest.current), Math.max(0, ms));
  };
  return {
    onPointerDown: (event: PointerEvent): void => {
      const [x, y] = place(event, room.current);
      pull.current = { x, from: latest.current.view.fromMs, moved: false, ruler: y < RULER };
      if (y < RULER) latest.current.onCursor(offset(x));
      room.current?.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent): void => {
      const held = pull.current;
      if (!held) return;
      const [x] = place(event, room.current);
      if (Math.abs(x - held.x) > 3) held.moved = true;
      if (held.ruler) return latest.current.onCursor(offset(x));
      if (!held.moved) return;
      const { view } = latest.current;
      const span = view.untilMs - view.fromMs;
      const width = Math.max(1, (room.current?.clientWidth ?? 1) - gutter);
      latest.current.onView(kept(held.from - ((x - held.x) / width) * span, span, lengthOf(latest.current)));
    },
    // a finger that scrolls the page
    onPointerCancel: (): void => {
      pull.current = null;
    },
    onPointerUp: (event: PointerEvent): void => {
      const held = pull.current;
      pull.current = null;
      if (!held || held.moved || held.ruler) return;
      const [x, y] = place(event, room.current);
      const ms = offset(x);
      latest.current.onCursor(ms);
      const row = rowAt(rows, y - RULER + (room.current?.scrollTop ?? 0));
      latest.current.onChoose(row ? chosenIn(row, latest.current.model.fromMs + ms) : null);
    },
  };
}

function place(event: PointerEvent, element: HTMLElement | null): [number, number] {
  const box = element?.getBoundingClientRect();
  return [event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0)];
}

function chosenIn(row: Row, ms: number): Chosen | null {
  if (row.kind === "runs") return made("run", at(row.worker.runs[row.lane] ?? NONE, ms));
  if (row.kind === "nodes") return made("node", at(row.worker.nodes[row.lane] ?? NONE, ms));
  if (row.kind === "moves") return made("move", at(row.worker.moves[row.lane] ?? NONE, ms));
  return null;
}

const NONE = { begins: new Float64Array(), ends: new Float64Array(), items: [] };

function made(kind: Chosen["kind"], item: unknown): Chosen | null {
  return item ? ({ kind, item } as Chosen) : null;
}
