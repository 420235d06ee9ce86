import { useState } from "preact/hooks";
import { useApi, usePost } from "../../api";
import { duration, when } from "../../format";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import type { Silence } from "./shapes";
import { SilenceDialog, type Wanted } from "./silence_dialog";

/** Silences in force and over; admins make and end them. */
export function Silences({ now, onChange }: { now: number; onChange: () => void }) {
  const list = useApi<{ silences: Silence[] }>("alerts/silences", {}, 30);
  const [wanted, want] = useState<Wanted | null>(null);
  const [problem, say] = useState("");
  const post = usePost();
  const changed = (): void => {
    list.reload();
    onChange();
  };
  const end = async (silence: Silence): Promise<void> => {
    const answer = await post(`alerts/silences/${encodeURIComponent(silence.id)}/end`, {});
    say(answer.ok ? "" : answer.problem.message);
    changed();
  };
  return (
    <section class="panel">
      <div class="card-head">
        <h2>Silences</h2>
        <button type="button" class="push" onClick={() => want({ rule: "*", subject: "*" })}>
          Silence alerts …
        </button>
      </div>
      {(list.problem || problem) && (
        <Problem message={problem || list.problem?.message || ""} retry={list.reload} />
      )}
      <Table
        caption="Alerts that nobody is told of"
        columns={columns(now, end)}
        rows={[...(list.data?.silences ?? [])].reverse()}
        id={(silence) => silence.id}
        tone={(silence) => (silence.until_ms > now ? "" : "dim")}
        empty={
          <Empty title="Nothing is silenced">
            During work on a machine, silence its alerts: they are shown and nobody is told.
          </Empty>
        }
      />
      <SilenceDialog wanted={wanted} onClose={() => want(null)} onDone={changed} />
    </section>
  );
}

function columns(now: number, end: (silence: Silence) => void): Column<Silence>[] {
  return [
    { key: "rule", title: "Rule", value: (one) => one.rule, show: (one) => <code>{one.rule}</code> },
    { key: "subject", title: "About", value: (one) => one.subject, show: (one) => <code>{one.subject}</code> },
    { key: "why", title: "Why", value: (one) => one.why, show: (one) => <span class="alert-text">{one.why}</span> },
    { key: "by", title: "By", value: (one) => one.by_user, wide: true },
    { key: "until", title: "Until", value: (one) => one.until_ms, show: (one) => when(one.until_ms, now), number: true },
    {
      key: "state",
      title: "State",
      value: (one) => one.until_ms - now,
      show: (one) =>
        one.until_ms > now ? (
          <>
            <Chip tone="info">{duration((one.until_ms - now) / 1000)} left</Chip>{" "}
            <button type="button" class="quiet" onClick={() => end(one)}>
              End<span class="hidden"> the silence of {one.rule}</span>
            </button>
          </>
        ) : (
          "over"
        ),
    },
  ];
}
