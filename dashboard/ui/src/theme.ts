import { useEffect, useState } from "preact/hooks";

export type Theme = "light" | "dark";
/** What is wanted: a theme, or what the system has. */
export type Wish = Theme | "auto";

const KEY = "vramgate-theme";
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const CHANGED = "vramgate-theme";
/** Where a browser keeps nothing. */
let wanted: Wish | null = null;

/** What this browser wants; kept in it. */
export function wish(): Wish {
  const kept = wanted ?? storage()?.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

/** Keep a wish and follow it. */
export function want(next: Wish): void {
  wanted = next;
  storage()?.setItem(KEY, next);
  document.documentElement.dataset.theme = shown(next);
  window.dispatchEvent(new Event(CHANGED));
}

/** Follow what was wanted before, and the system's changes. */
export function followTheme(): void {
  want(wish());
  DARK.addEventListener("change", () => want(wish()));
}

/** The wish now; renders anew when it changes. */
export function useWish(): Wish {
  const [now, set] = useState(wish);
  useEffect(() => {
    const changed = (): void => set(wish());
    window.addEventListener(CHANGED, changed);
    return () => window.removeEventListener(CHANGED, changed);
  }, []);
  return now;
}

/** The theme now; renders anew when it changes (colours of a canvas have to be read again). */
export function useTheme(): Theme {
  const [theme, set] = useState<Theme>(() => shown(wish()));
  useEffect(() => {
    const changed = (): void => set(document.documentElement.dataset.theme as Theme);
    window.addEventListener(CHANGED, changed);
    return () => window.removeEventListener(CHANGED, changed);
  }, []);
  return theme;
}

function shown(one: Wish): Theme {
  return one === "auto" ? (DARK.matches ? "dark" : "light") : one;
}

// A browser that keeps nothing (a file, a private window) has no storage, or throws when asked.
function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
