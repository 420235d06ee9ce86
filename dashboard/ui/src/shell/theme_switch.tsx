import { useWish, type Wish, want } from "../theme";

const NEXT: Record<Wish, Wish> = { auto: "light", light: "dark", dark: "auto" };
const NAMES: Record<Wish, string> = { auto: "system", light: "light", dark: "dark" };

/** Light, dark, or as the system is. */
export function ThemeSwitch() {
  const now = useWish();
  const next = (): void => want(NEXT[now]);
  return (
    <button type="button" class="quiet" onClick={next} title={`Change to ${NAMES[NEXT[now]]}`}>
      Theme: {NAMES[now]}
    </button>
  );
}
