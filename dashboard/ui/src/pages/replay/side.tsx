import { useState } from "preact/hooks";
import { count, took } from "../../format";
import type { View } from "../../recording/draw";
import { LeftOut } from "../../recording/left_out";
import { Details, Moment } from "../../recording/moment";
import { type Chosen, Timeline } from "../../recording/timeline";
import type { Loaded } from "./page";

interface Props {
  side: Loaded;
  cursor: number;
  onCursor: (cursor: number) => void;
  view: View;
  onView: (view: View) => void;
  onClose: () => void;
}

/** One recording: its timeline, what was at the cursor, what was clicked. */
export function Side({ side, cursor, onCursor, view, onView, onClose }: Props) {
  const [chosen, choose] = useState<Chosen | null>(null);
  const { perf } = side.model;
  const length = side.model.untilMs - side.model.fromMs;
  return (
    <section class="recorded" aria-label={side.name}>
      <div class="details-head">
        <h2>
          {side.name} <span class="muted">
            {count(perf.runs.length, "run")}, {count(perf.nodes.length, "node")}
          </span>
        </h2>
        <button type="button" class="quiet" aria-label={`Close ${side.name}`} onClick={onClose}>
          Close
        </button>
      </div>
      <LeftOut perf={perf} />
      <Timeline
        model={side.model}
        label={`Timeline of ${side.name}`}
        cursor={cursor}
        onCursor={onCursor}
        view={view}
        onView={onView}
        chosen={chosen}
        onChoose={choose}
      />
      {chosen && <Details chosen={chosen} onClose={() => choose(null)} />}
      <div class="panel">
        {cursor > length ? (
          <p class="muted">This recording has ended {took((cursor - length) / 1000)} ago.</p>
        ) : (
          <Moment model={side.model} cursor={cursor} />
        )}
      </div>
    </section>
  );
}
