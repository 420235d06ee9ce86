import { useState } from "preact/hooks";
import { useApi, usePost } from "../../api";
import { count, gib } from "../../format";
import { gpuName } from "../../gpu_names";
import { useLive } from "../../live";
import { Problem } from "../../parts/problem";
import type { Span } from "../../parts/time_span";
import type { Change, Choices, WhatIf } from "./shapes";
import { inWords } from "./what_if_words";

const GIB = 2 ** 30;
const WEEK_MS = 7 * 86_400_000;
type Values = Record<string, string>;

interface Props {
  span: Span;
  onAsked: (one: WhatIf) => void;
}

/** What would be otherwise. */
export function WhatIfForm({ span, onAsked }: Props) {
  const choices = useApi<Choices>("contention/what-ifs/choices", span.query);
  const post = usePost();
  const [values, setValues] = useState<Values>({});
  const [problem, setProblem] = useState("");
  const live = useLive().gpus;
  const told = choices.data;
  if (choices.problem) return <Problem message={choices.problem.message} retry={choices.reload} />;
  if (!told) return null;
  const change = changeOf(values);
  const words = inWords(change, live);
  const tooLong = span.until - span.from > WEEK_MS;
  const set = (name: string, value: string): void => setValues({ ...values, [name]: value });
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    const body = { from_ms: Math.floor(span.from), until_ms: Math.ceil(span.until), change };
    const answer = await post<WhatIf>("contention/what-ifs", body);
    if (!answer.ok) return setProblem(answer.problem.message);
    setProblem("");
    onAsked(answer.data);
  };
  return (
    <section class="panel">
      <h2>What would a change have made of this time?</h2>
      <p class="muted what-it-is">
        The {count(told.jobs, "job")} of the time above are played again by the scheduler's own plan in
        simulated time: once as they were, once with your change. Nothing here changes the pool.
      </p>
      <form class="what-if" onSubmit={(event) => void ask(event)}>
        <Hardware told={told} values={values} set={set} />
        <Limits told={told} values={values} set={set} />
        <Policy told={told} values={values} set={set} />
        {problem && <Problem message={problem} />}
        {tooLong && <Problem message="Choose a time of at most seven days above." />}
        <div>
          <button type="submit" class="main" disabled={words.length === 0 || tooLong || told.jobs === 0}>
            Play it
          </button>{" "}
          <span class="muted">{words.length ? words.join(", ") : "Choose what would be otherwise."}</span>
        </div>
      </form>
    </section>
  );
}

interface PartProps {
  told: Choices;
  values: Values;
  set: (name: string, value: string) => void;
}

function Hardware({ told, values, set }: PartProps) {
  const live = useLive().gpus;
  const gpus = told.gpus.map((gpu): [string, string] => [gpu.id, `${gpuName(live, gpu.id)} (${gib(gpu.total_bytes)})`]);
  return (
    <fieldset>
      <legend>Hardware</legend>
      <Choose title="More GPUs like" value={values.like} options={gpus} onChange={(v) => set("like", v)} />
      {values.like && (
        <Count title="How many" value={values.more ?? "1"} most={16} onChange={(v) => set("more", v)} />
      )}
      <Choose title="Other memory of" value={values.gpu} options={gpus} onChange={(v) => set("gpu", v)} />
      {values.gpu && (
        <Count title="GiB" value={values.gib ?? ""} most={1024} onChange={(v) => set("gib", v)} />
      )}
      <Count
        title="Workers on each GPU"
        value={values.workers ?? ""}
        most={16}
        onChange={(v) => set("workers", v)}
      />
    </fieldset>
  );
}

function Limits({ told, values, set }: PartProps) {
  const names = [
    ...told.users.map((name): [string, string] => [`user:${name}`, name]),
    ...told.groups.map((name): [string, string] => [`group:${name}`, `group ${name}`]),
  ];
  return (
    <fieldset>
      <legend>A limit</legend>
      <Choose title="Of" value={values.who} options={names} onChange={(v) => set("who", v)} />
      {values.who && (
        <>
          <Count
            title="Most jobs running"
            value={values.running ?? ""}
            most={10_000}
            onChange={(v) => set("running", v)}
          />
          <label class="line">
            <input
              type="checkbox"
              checked={values.unlimited === "yes"}
              onChange={(event) => set("unlimited", event.currentTarget.checked ? "yes" : "")}
            />
            no limit
          </label>
          <Count
            title="Weight"
            value={values.weight ?? ""}
            most={1000}
            step="any"
            onChange={(v) => set("weight", v)}
          />
        </>
      )}
    </fieldset>
  );
}

function Policy({ told, values, set }: PartProps) {
  const now = (name: string): string => String(told.scheduler[name] ?? "none");
  return (
    <fieldset>
      <legend>Numbers of the scheduler</legend>
      <Count
        title={`Aging, s (now ${now("aging")})`}
        value={values.aging ?? ""}
        most={1_000_000}
        onChange={(v) => set("aging", v)}
      />
      <Count
        title={`Most skips (now ${now("max_skips")})`}
        value={values.max_skips ?? ""}
        most={100_000}
        onChange={(v) => set("max_skips", v)}
      />
      <Choose
        title={`Preemption (now ${told.scheduler.preemption === true ? "on" : "off"})`}
        value={values.preemption}
        options={[
          ["on", "on"],
          ["off", "off"],
        ]}
        onChange={(v) => set("preemption", v)}
      />
      <Choose
        title={`Strict order (now ${told.scheduler.strict_order === true ? "on" : "off"})`}
        value={values.strict_order}
        options={[
          ["on", "on"],
          ["off", "off"],
        ]}
        onChange={(v) => set("strict_order", v)}
      />
    </fieldset>
  );
}

interface ChooseProps {
  title: string;
  value: string | undefined;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}

function Choose({ title, value = "", options, onChange }: ChooseProps) {
  return (
    <label>
      {title}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">as it was</option>
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface CountProps {
  title: string;
  value: string;
  most: number;
  step?: string;
  onChange: (value: string) => void;
}

function Count({ title, value, most, step = "1", onChange }: CountProps) {
  return (
    <label>
      {title}
      <input
        type="number"
        min={step === "1" ? 1 : 0}
        max={most}
        step={step}
        value={value}
        placeholder="as it was"
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

/** What the form says, as the API takes it. */
export function changeOf(values: Values): Change {
  const number = (name: string): number | null => (values[name] ? Number(values[name]) : null);
  const change: Change = {};
  if (values.like) change.more_gpus = [{ like: values.like, count: number("more") ?? 1 }];
  const size = number("gib");
  if (values.gpu && size) change.vram = { [values.gpu]: Math.round(size * GIB) };
  const workers = number("workers");
  if (workers) change.workers_per_gpu = workers;
  const limit = limitOf(values);
  const [kind, name] = (values.who ?? "").split(/:(.*)/s);
  if (name && Object.keys(limit).length > 0) {
    change[kind === "group" ? "groups" : "users"] = { [name]: limit };
  }
  const scheduler: Record<string, number | boolean> = {};
  for (const one of ["aging", "max_skips"]) {
    const value = number(one);
    if (value) scheduler[one] = value;
  }
  for (const one of ["preemption", "strict_order"]) {
    if (values[one]) scheduler[one] = values[one] === "on";
  }
  if (Object.keys(scheduler).length > 0) change.scheduler = scheduler;
  return change;
}

function limitOf(values: Values): { max_running?: number | null; weight?: number } {
  const limit: { max_running?: number | null; weight?: number } = {};
  if (values.running) limit.max_running = Number(values.running);
  if (values.unlimited) limit.max_running = null;
  if (values.weight) limit.weight = Number(values.weight);
  return limit;
}
