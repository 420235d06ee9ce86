import { useState } from "preact/hooks";
import { useSource } from "../../api";
import { when } from "../../format";
import { Chip } from "../../parts/chip";
import { type Field, type LimitValue } from "./shapes";
import { choices, read, shown, titled, written } from "./values";

interface Props {
  limit: LimitValue;
  field: Field;
  revision: number;
  /** After a change, or when somebody else was faster. */
  onChanged: () => void;
}

/** One setting: what is in force and why, another value, and the way back to the file's. */
export function LimitForm({ limit, field, revision, onChanged }: Props) {
  const source = useSource();
  const now = written(limit.value, field.words);
  const [draft, setDraft] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const text = draft ?? now;
  const path = `limits/values/${encodeURIComponent(limit.path)}`;

  const send = async (method: "PUT" | "DELETE", body?: unknown): Promise<void> => {
    const answer = await source.send(method, path, body, revision);
    setProblem(answer.ok ? "" : answer.problem.message);
    if (answer.ok) setDraft(null);
    if (answer.ok || answer.problem.status === 412) onChanged();
  };
  const save = (event: Event): void => {
    event.preventDefault();
    void send("PUT", { value: read(text, field.words) });
  };

  const id = `limit-${limit.path}`;
  const edited = limit.origin === "edited";
  return (
    <form class="limit" onSubmit={save}>
      <div class="limit-head">
        <label for={id}>{titled(limit.field)}</label>
        {edited ? <Chip tone="info">changed here</Chip> : <span class="muted">{limit.origin}</span>}
      </div>
      <p class="muted" id={`${id}-help`}>
        {field.help.replaceAll("`", "")}
      </p>
      <div class="limit-line">
        <Value
          id={id}
          words={field.words}
          value={text}
          placeholder={shown(null, field.words)}
          onValue={setDraft}
          wrong={problem !== ""}
        />
        <button type="submit" disabled={text === now}>
          Save
        </button>
        {edited && (
          <button type="button" class="quiet" onClick={() => void send("DELETE")}>
            Back to {shown(limit.base, field.words)}
          </button>
        )}
      </div>
      {problem && (
        <p class="wrong" id={`${id}-problem`} role="alert">
          {problem}
        </p>
      )}
      {limit.changed && (
        <p class="muted">
          changed by {limit.changed.by}, {when(limit.changed.at_ms)}
        </p>
      )}
    </form>
  );
}

interface ValueProps {
  id: string;
  words: string;
  value: string;
  placeholder: string;
  wrong: boolean;
  onValue: (value: string) => void;
}

function Value({ id, words, value, placeholder, wrong, onValue }: ValueProps) {
  const described = { "aria-describedby": wrong ? `${id}-problem ${id}-help` : `${id}-help` };
  const some = choices(words);
  if (some) {
    return (
      <select id={id} value={value} {...described} onChange={(event) => onValue(event.currentTarget.value)}>
        {some.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    );
  }
  return (
    <input
      id={id}
      type="text"
      value={value}
      placeholder={placeholder}
      title={words}
      aria-invalid={wrong}
      {...described}
      onInput={(event) => onValue(event.currentTarget.value)}
    />
  );
}
