import { useState } from "preact/hooks";
import { useApi } from "../../api";
import { when } from "../../format";
import { useLive } from "../../live";
import type { Gpu } from "../../live_tables";
import { Chip, type Tone } from "../../parts/chip";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import type { Span } from "../../parts/time_span";
import { setQuery, useRoute } from "../../router";
import type { WhatIf } from "./shapes";
import { WhatIfForm } from "./what_if_form";
import { WhatIfResult } from "./what_if_result";
import { inWords } from "./what_if_words";

const STATES: Record<WhatIf["state"], [Tone, string]> = {
  waiting: ["info", "waiting"],
  running: ["info", "being played"],
  done: ["good", "done"],
  failed: ["bad", "failed"],
  lost: ["warn", "lost"],
};
/** While one is played its answer is looked for so often, seconds. */
const SOON_S = 2;

/** Ask the simulator what a change would have made of the time that is shown. */
export function WhatIfs({ span }: { span: Span }) {
  const { query } = useRoute();
  const columns = columnsOf(useLive().gpus);
  const [soon, setSoon] = useState(false);
  const list = useApi<{ what_ifs: WhatIf[] }>("contention/what-ifs", {}, soon ? SOON_S : 0);
  const found = list.data?.what_ifs ?? [];
  const busy = found.some((one) => one.state === "waiting" || one.state === "running");
  if (busy !== soon) setSoon(busy);
  const shown = found.find((one) => one.id === query.ask);
  const asked = (one: WhatIf): void => {
    setQuery({ ask: one.id });
    list.reload();
  };
  return (
    <div class="stack">
      <WhatIfForm span={span} onAsked={asked} />
      {list.problem && <Problem message={list.problem.message} retry={list.reload} />}
      {shown && <Shown key={`${shown.id} ${shown.state}`} one={shown} />}
      <section class="panel">
        <h2>Asked before</h2>
        <Table
          caption="Questions asked before"
          columns={columns}
          rows={found}
          id={(one) => one.id}
          open={(one) => setQuery({ ask: one.id }, { push: true })}
          empty={<p class="empty">None yet. The newest fifty are kept.</p>}
        />
      </section>
    </div>
  );
}

function Shown({ one }: { one: WhatIf }) {
  const done = one.state === "done";
  const told = useApi<WhatIf>(done ? `contention/what-ifs/${one.id}` : null);
  const title = inWords(one.change, useLive().gpus).join(", ");
  return (
    <section class="panel" aria-live="polite">
      <h2>What if: {title}</h2>
      {told.problem && <Problem message={told.problem.message} retry={told.reload} />}
      {told.data?.result && <WhatIfResult one={told.data} result={told.data.result} />}
      {!done && <p>{progress(one)}</p>}
    </section>
  );
}

function progress(one: WhatIf): string {
  switch (one.state) {
    case "failed":
      return `It could not be played: ${one.problem ?? "no reason was kept"}.`;
    case "lost":
      return "Nobody has finished it. Does vramgate jobs run? Ask it again.";
    case "running":
      return "It is being played; this takes about ten seconds for a thousand jobs.";
    default:
      return "It waits for vramgate jobs to play it.";
  }
}

function columnsOf(gpus: readonly Gpu[]): readonly Column<WhatIf>[] {
  return [
    {
      key: "change",
      title: "Change",
      value: (one) => inWords(one.change, gpus).join(", "),
      show: (one) => (
        <button type="button" class="sorts what-if-asked" onClick={() => setQuery({ ask: one.id }, { push: true })}>
          {inWords(one.change, gpus).join(", ")}
        </button>
      ),
    },
    {
      key: "state",
      title: "State",
      value: (one) => one.state,
      show: (one) => {
        const [tone, word] = STATES[one.state];
        return <Chip tone={tone}>{word}</Chip>;
      },
    },
    {
      key: "span",
      title: "Of",
      value: (one) => one.from_ms,
      show: (one) => `${when(one.from_ms)} to ${when(one.until_ms)}`,
      wide: true,
    },
    { key: "by", title: "Asked by", value: (one) => one.by_user, wide: true },
    { key: "at", title: "At", value: (one) => one.asked_ms, show: (one) => when(one.asked_ms), wide: true },
  ];
}
