import { took } from "../../format";

const GIB = 2 ** 30;

/** Byte-milliseconds as GiB hours: `12.3 GiB h`. */
export function gibHours(byteMs: number): string {
  const hours = byteMs / GIB / 3.6e6;
  return `${hours.toFixed(hours < 10 ? 2 : 1)} GiB h`;
}

/** A wait, as `0.3 s`; "–" where nothing waited. */
export function waited(ms: number | null): string {
  return ms === null ? "–" : ms < 100 ? "< 0.1 s" : took(ms / 1000);
}

/** A month and the eleven before it, the newest first: `2026-11`. */
export function months(now: number): string[] {
  const date = new Date(now);
  return Array.from({ length: 12 }, (_, n) => {
    const month = new Date(date.getFullYear(), date.getMonth() - n, 1);
    return `${month.getFullYear()}-${String(month.getMonth() + 1).padStart(2, "0")}`;
  });
}
