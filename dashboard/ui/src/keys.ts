// Keys of the whole page and of the page that is open; `?` lists them.
import { useEffect, useRef } from "preact/hooks";

export interface Key {
  /** As `KeyboardEvent.key` says it; two in a row are written `g o`. */
  keys: string;
  /** What it does, for the list. */
  does: string;
  run: () => void;
}

/** Time between the two keys of a pair, ms. */
const PAIR_MS = 1500;
const known = new Set<{ current: readonly Key[] }>();
let before = { key: "", at: 0 };

/** All keys that work now, for the list. */
export function allKeys(): Key[] {
  return [...known].flatMap((keys) => [...keys.current]);
}

/** Keys that work while the component is there, but not while somebody types. */
export function useKeys(keys: readonly Key[]): void {
  const held = useRef(keys);
  held.current = keys;
  useEffect(() => {
    known.add(held);
    return () => void known.delete(held);
  }, []);
}

/** Start to listen; once for a document. */
export function listen(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const pair = Date.now() - before.at < PAIR_MS ? `${before.key} ${event.key}` : "";
    const all = allKeys();
    const found = all.find((key) => key.keys === pair) ?? all.find((key) => key.keys === event.key);
    before = { key: found ? "" : event.key, at: Date.now() };
    if (!found) return;
    event.preventDefault();
    found.run();
  });
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
