// Draws rows of a recording on a canvas. Things narrower than a pixel are drawn once for each pixel:
// a day of fifty thousand nodes costs as much as there are pixels.
import { took } from "../format";
import { firstAfter, type Lane, upTo } from "./intervals";
import { type Curve, type GpuTrack, type Model } from "./model";
import type { Row } from "./tracks";
import type { Node, Run } from "./types";

export interface View {
  fromMs: number;
  untilMs: number;
}

export interface Scene {
  model: Model;
  rows: readonly Row[];
  view: View;
  /** px */
  width: number;
  height: number;
  scroll: number;
  gutter: number;
  selected: unknown;
  cursorMs: number;
}

export const RULER = 22;
export type Ink = (variable: string) => string;
const COLOURS = ["--s1", "--s3", "--s4", "--s5", "--s6", "--s7"];

/** Colours of the theme that an element has. */
export function inks(element: HTMLElement): Ink {
  const style = getComputedStyle(element);
  const known = new Map<string, string>();
  return (variable) => {
    let colour = known.get(variable);
    if (!colour) known.set(variable, (colour = style.getPropertyValue(variable).trim() || "#888"));
    return colour;
  };
}

/** The colour of a class of nodes, always the same one. */
export function colourOf(name: string): string {
  let hash = 0;
  for (let n = 0; n < name.length; n += 1) hash = (hash * 31 + name.charCodeAt(n)) >>> 0;
  return COLOURS[hash % COLOURS.length] ?? "--s1";
}

export function toneOf(node: Node): string {
  if (node.error || node.result === "failure") return "--bad";
  if (node.fallback) return "--s2";
  return node.cached ? "--s8" : colourOf(node.class);
}

/** All of it. */
export function draw(ctx: CanvasRenderingContext2D, scene: Scene, ink: Ink, font: string): void {
  const { width, height, gutter, scroll, view } = scene;
  ctx.clearRect(0, 0, width, height);
  ctx.font = font;
  ctx.textBaseline = "middle";
  const x = (ms: number): number => gutter + ((ms - view.fromMs) / (view.untilMs - view.fromMs)) * (width - gutter);
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, RULER, width, height - RULER);
  ctx.clip();
  for (const row of scene.rows) {
    const top = row.top - scroll + RULER;
    if (top + row.height < RULER || top > height) continue;
    paint(ctx, row, top, scene, x, ink);
  }
  // beyond its end a recording knows of no gap: there is nothing
  const end = x(scene.model.untilMs);
  if (end < width) {
    ctx.fillStyle = ink("--page");
    ctx.fillRect(Math.max(gutter, end), RULER, width, height);
  }
  ctx.restore();
  ruler(ctx, scene, x, ink);
  cursor(ctx, scene, x, ink);
}

type X = (ms: number) => number;

function paint(ctx: CanvasRenderingContext2D, row: Row, top: number, scene: Scene, x: X, ink: Ink): void {
  const { gutter, width } = scene;
  ctx.fillStyle = ink(row.kind === "head" ? "--text" : "--muted");
  ctx.textAlign = "left";
  const title = row.kind === "head" ? row.title : ending(ctx, row.title, gutter - 8);
  ctx.fillText(title, 0, top + row.height / 2);
  if (row.kind === "head") return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(gutter, top, width - gutter, row.height);
  ctx.clip();
  switch (row.kind) {
    case "queue":
      queue(ctx, scene, top, row.height, x, ink);
      break;
    case "gpu":
      memory(ctx, row.gpu, scene, top, row.height, x, ink);
      break;
    case "memory":
      line(ctx, row.worker.memory, "reserved", row.most, top, row.height, scene, x, ink("--reserved"));
      line(ctx, row.worker.memory, "allocated", row.most, top, row.height, scene, x, ink("--s1"));
      break;
    case "runs":
      boxes(ctx, row.worker.runs[row.lane], scene, top, row.height, x, ink, runLook);
      break;
    case "nodes":
      boxes(ctx, row.worker.nodes[row.lane], scene, top, row.height, x, ink, nodeLook);
      break;
    case "moves":
      boxes(ctx, row.worker.moves[row.lane], scene, top, row.height, x, ink, (move) => [
        move.what === "load" ? "--info" : "--muted",
        "",
      ]);
  }
  ctx.restore();
}

function runLook(run: Run): readonly [string, string] {
  const bad = run.state === "FAILED" || run.result === "error";
  return [bad ? "--bad" : "--accent", `${run.user ?? ""} ${run.job.slice(0, 8)}`.trim()];
}

function nodeLook(node: Node): readonly [string, string] {
  return [toneOf(node), node.class];
}

/** Things of a lane as boxes, with their names where there is room. */
function boxes<T>(
  ctx: CanvasRenderingContext2D,
  lane: Lane<T> | undefined,
  scene: Scene,
  top: number,
  height: number,
  x: X,
  ink: Ink,
  look: (item: T) => readonly [string, string],
): void {
  if (!lane) return;
  const { fromMs, untilMs } = scene.view;
  let painted = -1;
  let paintedTone = "";
  for (let n = firstAfter(lane, fromMs); n < lane.items.length; n += 1) {
    const begin = lane.begins[n] ?? 0;
    if (begin > untilMs) break;
    const item = lane.items[n] as T;
    const left = Math.max(scene.gutter - 1, x(begin));
    const right = Math.min(scene.width + 1, x(lane.ends[n] ?? begin));
    const [tone, name] = look(item);
    // what is bad is never hidden by a neighbour in the same pixel
    if (right - left < 1 && Math.floor(left) === painted && (tone === paintedTone || tone !== "--bad")) continue;
    painted = Math.floor(right - left < 1 ? left : right);
    paintedTone = tone;
    ctx.fillStyle = ink(tone);
    ctx.fillRect(left, top, Math.max(1, right - left - 0.5), height);
    if (item === scene.selected) {
      ctx.strokeStyle = ink("--text");
      ctx.lineWidth = 2;
      ctx.strokeRect(left + 1, top + 1, Math.max(2, right - left - 2), height - 2);
    }
    if (name && right - left > 34) {
      ctx.fillStyle = ink("--on-box");
      ctx.fillText(short(ctx, name, right - left - 8), left + 4, top + height / 2 + 0.5);
    }
  }
}

function short(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (ctx.measureText(text).width <= room) return text;
  const fits = Math.floor((text.length * room) / Math.max(1, ctx.measureText(text).width)) - 1;
  return fits < 1 ? "" : `${text.slice(0, fits)}…`;
}

/** The end of a name that is too long: ids of workers differ there. */
function ending(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  const wide = ctx.measureText(text).width;
  if (wide <= room) return text;
  return `…${text.slice(-Math.max(1, Math.floor((text.length * room) / wide) - 1))}`;
}

/** A GPU's memory in layers; times without figures have the colour of gaps. */
function memory(
  ctx: CanvasRenderingContext2D, gpu: GpuTrack, scene: Scene, top: number, height: number, x: X, ink: Ink,
): void {
  const { curve, totalBytes } = gpu;
  if (!curve) return;
  ctx.fillStyle = ink("--gap");
  ctx.fillRect(scene.gutter, top, scene.width - scene.gutter, height);
  const layers = [
    ["foreign_bytes", "--foreign"],
    ["resident_bytes", "--resident"],
    ["reserved_bytes", "--reserved"],
  ] as const;
  const most = totalBytes || Math.max(1, ...layers.map(([name]) => curve.columns[name]?.[0] ?? 0));
  each(curve, scene.view, x, (n, left, right) => {
    let floor = top + height;
    ctx.fillStyle = ink("--free");
    ctx.fillRect(left, top, right - left, height);
    for (const [name, colour] of layers) {
      const part = ((curve.columns[name]?.[n] ?? 0) / most) * height;
      if (part <= 0) continue;
      ctx.fillStyle = ink(colour);
      ctx.fillRect(left, floor - part, right - left, part);
      floor -= part;
    }
  });
}

function queue(ctx: CanvasRenderingContext2D, scene: Scene, top: number, height: number, x: X, ink: Ink): void {
  const curve = scene.model.queue;
  if (!curve) return;
  ctx.fillStyle = ink("--gap");
  ctx.fillRect(scene.gutter, top, scene.width - scene.gutter, height);
  const { queued, running } = curve.columns;
  let most = 1;
  for (let n = 0; n < curve.at.length; n += 1) most = Math.max(most, (queued?.[n] ?? 0) + (running?.[n] ?? 0));
  each(curve, scene.view, x, (n, left, right) => {
    const waits = ((queued?.[n] ?? 0) / most) * height;
    const runs = ((running?.[n] ?? 0) / most) * height;
    ctx.fillStyle = ink("--card");
    ctx.fillRect(left, top, right - left, height);
    ctx.fillStyle = ink("--accent");
    ctx.fillRect(left, top + height - runs, right - left, runs);
    ctx.fillStyle = ink("--s2");
    ctx.fillRect(left, top + height - runs - waits, right - left, waits);
  });
}

function line(
  ctx: CanvasRenderingContext2D, curve: Curve | null, column: string, most: number, top: number, height: number,
  scene: Scene, x: X, colour: string,
): void {
  const values = curve?.columns[column];
  if (!curve || !values || most <= 0) return;
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  let last = -1;
  each(curve, scene.view, x, (n, left, right) => {
    const y = top + height - 1 - ((values[n] ?? 0) / most) * (height - 2);
    if (last === left) ctx.lineTo(left, y);
    else ctx.moveTo(left, y);
    ctx.lineTo(right, y);
    last = right;
  });
  ctx.stroke();
}

/** Steps of a curve that are seen, whole pixels where they are narrower. */
function each(curve: Curve, view: View, x: X, step: (n: number, left: number, right: number) => void): void {
  let done = -Infinity;
  for (let n = Math.max(0, upTo(curve.at, view.fromMs) - 1); n < curve.at.length; n += 1) {
    const at = curve.at[n] ?? 0;
    if (at > view.untilMs) break;
    // whole pixels: between two halves of one the background would shine through
    const left = Math.round(x(at));
    const right = Math.round(x(at + (curve.holds[n] ?? 0)));
    if (right === left && left === done) continue;
    done = Math.max(right, left + 1) - 1;
    step(n, left, done + 1);
  }
}

const STEPS_S = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

/** Times since the begin of the recording, above. */
function ruler(ctx: CanvasRenderingContext2D, scene: Scene, x: X, ink: Ink): void {
  const { view, width, gutter, model } = scene;
  const perPixel = (view.untilMs - view.fromMs) / Math.max(1, width - gutter);
  const step = (STEPS_S.find((one) => one * 1000 >= perPixel * 80) ?? 86_400) * 1000;
  ctx.fillStyle = ink("--muted");
  ctx.strokeStyle = ink("--line");
  ctx.lineWidth = 1;
  ctx.textAlign = "left";
  const first = Math.ceil((view.fromMs - model.fromMs) / step) * step + model.fromMs;
  for (let at = first; at <= view.untilMs; at += step) {
    ctx.beginPath();
    ctx.moveTo(x(at), RULER - 8);
    ctx.lineTo(x(at), scene.height);
    ctx.stroke();
    ctx.fillText(tick(at, at - model.fromMs, step), x(at) + 3, RULER / 2);
  }
}

function tick(at: number, sinceMs: number, step: number): string {
  if (step < 1000) return `+${took(sinceMs / 1000)}`;
  return new Date(at).toLocaleTimeString("en-GB", step < 60_000 ? {} : { hour: "2-digit", minute: "2-digit" });
}

function cursor(ctx: CanvasRenderingContext2D, scene: Scene, x: X, ink: Ink): void {
  const left = x(scene.cursorMs);
  if (left < scene.gutter || left > scene.width) return;
  ctx.strokeStyle = ink("--bad");
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(left, 0);
  ctx.lineTo(left, scene.height);
  ctx.stroke();
}
