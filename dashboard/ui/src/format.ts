const GIB = 2 ** 30;

/** Bytes as GiB, one decimal: `17.3 GiB`. */
export function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
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

/** `1 job`, `2 jobs`. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
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
};

/** Why a job waits, in words. */
export function reason(code: string): string {
  return REASONS[code] ?? (code ? code.replaceAll("_", " ") : "Not planned yet");
}
