import type { ComponentChildren } from "preact";
import { took } from "../../format";
import type { View } from "../../recording/draw";
import { type Player, SPEEDS } from "../../recording/player";
import { zoomed } from "../../recording/timeline";

interface Props {
  player: Player;
  length: number;
  view: View;
  onView: (view: View) => void;
  children: ComponentChildren;
}

/** Play, scrub, speed and zoom, common to both sides. */
export function Controls({ player, length, view, onView, children }: Props) {
  const span = view.untilMs - view.fromMs;
  const place = Math.min(1, Math.max(0, (player.cursor - view.fromMs) / span));
  return (
    <div class="panel player" role="group" aria-label="Player">
      <button type="button" class="main" onClick={player.toggle} aria-keyshortcuts="Space">
        {player.playing ? "Pause" : "Play"}
      </button>
      <label>
        <span class="hidden">Speed</span>
        <select value={player.speed} onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}>
          {SPEEDS.map((speed) => (
            <option key={speed} value={speed}>
              {speed} ×
            </option>
          ))}
        </select>
      </label>
      <input
        type="range"
        aria-label="Time"
        aria-valuetext={`${took(player.cursor / 1000)} of ${took(length / 1000)}`}
        min={0}
        max={length}
        step="any"
        value={player.cursor}
        onInput={(event) => player.seek(Number(event.currentTarget.value))}
      />
      <output>
        {took(player.cursor / 1000)} of {took(length / 1000)}
      </output>
      <span role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" onClick={() => onView(zoomed(view, 0.5, place, length))}>
          +
        </button>{" "}
        <button type="button" aria-label="Zoom out" onClick={() => onView(zoomed(view, 2, place, length))}>
          −
        </button>{" "}
        <button type="button" onClick={() => onView({ fromMs: 0, untilMs: length })}>
          All
        </button>
      </span>
      {children}
    </div>
  );
}
