import "./advice.css";
import { useState } from "preact/hooks";
import { useApi, usePost } from "../../api";
import { ago, count } from "../../format";
import type { PageProps } from "../../pages";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { go, href, setQuery } from "../../router";
import { Card } from "./card";
import { DismissDialog } from "./dismiss";
import type { Advice, AdviceList } from "./shapes";

const STATES = ["open", "dismissed", "ended"] as const;
const NAMES = { open: "Open", dismissed: "Dismissed", ended: "Over" };
/** Advice is found each ten minutes: asking more often than that shows nothing new. */
const FRESH_S = 60;

export default function AdvicePage({ route, session }: PageProps) {
  const state = STATES.find((one) => one === route.query.state) ?? "open";
  const list = useApi<AdviceList>("advice", { state }, FRESH_S);
  const post = usePost();
  const [asked, setAsked] = useState<Advice | null>(null);
  const [wrong, setWrong] = useState("");
  const told = list.data;
  const now = Date.now();

  const send = async (path: string): Promise<void> => {
    const answer = await post(path);
    setWrong(answer.ok ? "" : answer.problem.message);
    list.reload();
  };
  return (
    <div class="page">
      <div class="page-head">
        <h1>Advice</h1>
        {told && <span class="muted">{found(told, now)}</span>}
        {session.mayChange && (
          <button type="button" class="quiet push" disabled={told?.asked} onClick={() => void send("advice")}>
            Find it anew
          </button>
        )}
      </div>
      {list.problem && <Problem message={list.problem.message} retry={list.reload} />}
      {wrong && <Problem message={wrong} />}
      {told && (
        <nav class="advice-states" aria-label="Which advice">
          {STATES.map((one) => (
            <a
              key={one}
              class={one === state ? "chosen" : ""}
              aria-current={one === state ? "page" : undefined}
              href={href("advice", [], { state: one === "open" ? null : one })}
            >
              {NAMES[one]} {told[one]}
            </a>
          ))}
        </nav>
      )}
      {told?.advice.map((one) => (
        <Card
          key={one.id}
          advice={one}
          session={session}
          open={route.args[0] === one.id}
          now={now}
          onFold={() => fold(one.id, route.args[0] === one.id, state)}
          onDismiss={() => setAsked(one)}
          onRecall={() => void send(`advice/${encodeURIComponent(one.id)}/recall`)}
        />
      ))}
      {told && told.advice.length === 0 && <Nothing told={told} state={state} />}
      {told && told.advice.length > 0 && (
        <p class="muted">
          Of what is told here, at most {Math.round(told.level * 100)} in 100 are expected to be chance, whatever else
          was looked at. Gains are what the last seven days say of a day.
        </p>
      )}
      <DismissDialog advice={asked} session={session} onClose={() => setAsked(null)} onDone={list.reload} />
    </div>
  );
}

function found(told: AdviceList, now: number): string {
  if (told.asked) return "being found anew, within a minute or two";
  return told.done_ms === null ? "not looked for yet" : `found ${ago(told.done_ms, now)}`;
}

// A link to one piece opens it; the list stays what it is.
function fold(id: string, open: boolean, state: string): void {
  go("advice", open ? [] : [id]);
  if (state !== "open") setQuery({ state });
}

function Nothing({ told, state }: { told: AdviceList; state: keyof typeof NAMES }) {
  if (state !== "open") return <Empty title={`No advice is ${NAMES[state].toLowerCase()}`} />;
  if (told.done_ms === null) {
    return (
      <Empty title="Nobody has looked yet">
        <code>vramgate jobs</code> looks each ten minutes; <code>vramgate up</code> runs it.
      </Empty>
    );
  }
  return (
    <Empty title="No advice">
      Nothing stands out{told.dismissed > 0 ? ` but ${count(told.dismissed, "thing")} that you have dismissed` : ""}, or
      there are too few runs to tell. The Jobs page shows single runs.
    </Empty>
  );
}
