const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** Bytes as GiB, one decimal: `17.3 GiB`. */
export function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

/** Bytes in the unit that suits them: `512 MiB`, `17.3 GiB`. */
export function bytes(n: number): string {
  if (n >= GIB) return gib(n);
  if (n >= MIB) return `${Math.round(n / MIB)} MiB`;
  return n >= 1024 ? `${Math.round(n / 1024)} KiB` : `${Math.round(n)} B`;
}

/** Share of a whole: `42 %`. */
export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

/** A duration for people: `7 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A short time, measured: `340 µs`, `82 ms`, `1.24 s`, then as `duration`. */
export function took(seconds: number): string {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return duration(seconds);
}

/** `1 job`, `2 jobs`. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** A moment, in this browser's zone: time alone if it is today. */
export function when(ms: number, now = Date.now()): string {
  const date = new Date(ms);
  const time = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${day(ms)} ${time}`;
}

/** A day, as `27 Nov 2026`. */
export function day(ms: number): string {
  return new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

/** How long ago: `12 s ago`. */
export function ago(ms: number, now = Date.now()): string {
  return `${duration((now - ms) / 1000)} ago`;
}

/** Milliwatts, as the store has them: `312 W`. */
export function watts(milliwatts: number): string {
  return `${Math.round(milliwatts / 1000)} W`;
}

/** Degrees: `71 °C`. */
export function celsius(degrees: number): string {
  return `${Math.round(degrees)} °C`;
}

/** Millijoules: `1.24 kWh`. */
export function energy(millijoules: number): string {
  return `${(millijoules / 3.6e9).toFixed(2)} kWh`;
}

/** GPU-microseconds: `3.42 GPU h`, short ones `84 GPU s`. */
export function gpuTime(microseconds: number): string {
  const seconds = microseconds / 1e6;
  return seconds < 600 ? `${Math.round(seconds)} GPU s` : `${(seconds / 3600).toFixed(2)} GPU h`;
}

/** The start of a long id, enough to tell it from others on a page. */
export function shortId(id: string): string {
  return id.length > 12 ? id.slice(0, 8) : id;
}

const REASONS: Record<string, string> = {
  no_headroom: "Not enough free memory",
  cap: "Limit reached",
  fairness: "Not its turn yet",
  held_for_head: "Room is kept for an earlier job",
  no_worker: "No worker is free",
  releasing: "Memory is being released",
  warm_soon: "A worker with its models is free soon",
  no_host_ram: "Not enough main memory",
  gpu_suspect: "The GPU's figures are in doubt",
  model_missing: "A model is missing",
  held: "On hold",
  budget: "Budget is used up",
  maintenance: "Maintenance",
};

/** Why a job waits, in words. */
export function reason(code: string): string {
  return REASONS[code] ?? (code ? code.replaceAll("_", " ") : "Not planned yet");
}
