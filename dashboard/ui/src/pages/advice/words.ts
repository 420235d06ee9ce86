import { bytes, duration, took } from "../../format";
import type { Gain } from "./shapes";

const OF: Record<Gain["what"], string> = {
  gpu_time: "GPU time",
  waiting: "waiting",
  memory: "a whole GPU's memory",
  spare: "idle time",
};

/** `about 12 min of GPU time a day`. */
export function gained(gain: Gain): string {
  return `about ${length(gain.expected)} of ${OF[gain.what]} a day`;
}

/** Its bounds: `9 min 20 s to 15 min 02 s in 9 of 10 cases`. */
export function bounds(gain: Gain): string {
  return `${length(Math.max(0, gain.low))} to ${length(gain.high)} in 9 of 10 cases`;
}

function length(seconds: number): string {
  return seconds < 60 ? took(seconds) : duration(seconds);
}

/** A figure with its unit. */
export function figure(value: number, unit: string): string {
  switch (unit) {
    case "B":
      return bytes(value);
    case "B/run":
      return `${bytes(value)} a run`;
    case "s":
      return length(value);
    case "px":
      return `${(value / 1e6).toFixed(1)} million pixels`;
    case "share":
      return `${Math.round(value * 100)} %`;
    case "×":
      return `${value.toFixed(value < 10 ? 1 : 0)}×`;
    case "°C":
      return `${Math.round(value)} °C`;
    default:
      return value.toLocaleString("en", { maximumFractionDigits: 1 });
  }
}

/** The chance that it is none: `1 in 250`. */
export function chance(p: number): string {
  if (p < 1e-6) return "less than 1 in a million";
  return `1 in ${Math.round(1 / p).toLocaleString("en")}`;
}
