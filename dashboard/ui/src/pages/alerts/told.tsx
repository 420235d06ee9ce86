import { useState } from "preact/hooks";
import { useApi, usePost } from "../../api";
import { ago, when } from "../../format";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Problem } from "../../parts/problem";
import { type Column, Table } from "../../parts/table";
import type { Message, Messages } from "./shapes";

/** Who is told, and how each message went. */
export function Told({ now }: { now: number }) {
  const list = useApi<Messages>("alerts/messages", {}, 10);
  const [said, say] = useState("");
  const post = usePost();
  const test = async (receiver: string): Promise<void> => {
    const answer = await post("alerts/test", { receiver });
    say(answer.ok ? `A test for ${receiver} is on its way.` : answer.problem.message);
    list.reload();
  };
  const receivers = list.data?.receivers ?? [];
  return (
    <section class="panel">
      <h2>Receivers</h2>
      {list.problem && <Problem message={list.problem.message} retry={list.reload} />}
      {list.data && receivers.length === 0 && (
        <Empty title="Nobody is told">
          Name webhooks and e-mail addresses in <code>alerts.webhooks</code> and <code>alerts.mails</code> of the
          config file.
        </Empty>
      )}
      <ul class="plain-list">
        {receivers.map((name) => (
          <li key={name}>
            <strong>{name}</strong>{" "}
            <button type="button" class="quiet" onClick={() => test(name)}>
              Send a test<span class="hidden"> to {name}</span>
            </button>
          </li>
        ))}
      </ul>
      <p role="status">{said}</p>
      {receivers.length > 0 && (
        <Table
          caption="Messages, newest first"
          captioned
          columns={columns(now)}
          rows={list.data?.messages ?? []}
          id={(message) => message.id}
          empty={<Empty title="Nothing was told yet" />}
        />
      )}
    </section>
  );
}

function columns(now: number): Column<Message>[] {
  return [
    { key: "made", title: "Made", value: (one) => one.made_ms, show: (one) => when(one.made_ms, now), number: true },
    { key: "receiver", title: "Receiver", value: (one) => one.receiver },
    { key: "status", title: "Says", value: (one) => one.status },
    { key: "group", title: "Of", value: (one) => one.group || null, wide: true },
    {
      key: "result",
      title: "Result",
      value: (one) => one.result,
      show: (one) => <Result message={one} now={now} />,
    },
    { key: "tries", title: "Tries", value: (one) => one.tries, number: true, wide: true },
  ];
}

function Result({ message, now }: { message: Message; now: number }) {
  if (message.result === "sent") return <Chip tone="good">sent</Chip>;
  if (message.result === "given_up") {
    return (
      <>
        <Chip tone="bad">given up</Chip> <span class="detail">{message.error}</span>
      </>
    );
  }
  if (message.error) {
    return (
      <>
        <Chip tone="warn">tried again</Chip> <span class="detail">{message.error}</span>
      </>
    );
  }
  return <Chip tone="info">waits since {ago(message.made_ms, now)}</Chip>;
}
