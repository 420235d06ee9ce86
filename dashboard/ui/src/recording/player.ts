import { useEffect, useRef, useState } from "preact/hooks";

/** Seconds of a recording for each second of ours. */
export const SPEEDS = [0.1, 1, 10, 60, 600, 3600] as const;

export interface Player {
  /** Milliseconds after the begin. */
  cursor: number;
  playing: boolean;
  speed: number;
  seek: (cursor: number) => void;
  toggle: () => void;
  setSpeed: (speed: number) => void;
}

/** A cursor that moves by itself while it plays, and stops at the end. */
export function usePlayer(lengthMs: number): Player {
  const [cursor, set] = useState(0);
  const [playing, play] = useState(false);
  const [speed, setSpeed] = useState<number>(1);
  const here = useRef(0);
  here.current = cursor;

  useEffect(() => {
    if (!playing) return undefined;
    let last = performance.now();
    let frame = requestAnimationFrame(function step(now) {
      const next = Math.min(lengthMs, here.current + (now - last) * speed);
      last = now;
      set(next);
      if (next >= lengthMs) play(false);
      else frame = requestAnimationFrame(step);
    });
    return () => cancelAnimationFrame(frame);
  }, [playing, speed, lengthMs]);

  useEffect(() => {
    if (here.current > lengthMs) set(lengthMs);
  }, [lengthMs]);

  const seek = (to: number): void => set(Math.min(lengthMs, Math.max(0, to)));
  const toggle = (): void => {
    if (!playing && cursor >= lengthMs) set(0);
    play(!playing);
  };
  return { cursor, playing, speed, seek, toggle, setSpeed };
}

/** A speed with which a recording of this length plays in about a minute. */
export function speedFor(lengthMs: number): number {
  return SPEEDS.find((one) => lengthMs / 1000 / one <= 90) ?? 3600;
}
