import { reason } from "../../format";
import { type Query, setQuery } from "../../router";
import type { Session } from "../../session";
import type { Counted, QueueList } from "./shapes";

const STATES: [string, string][] = [
  ["", "Waiting and running"],
  ["waiting", "Waiting"],
  ["held", "Held"],
  ["running", "Running"],
];

interface Props {
  told: QueueList;
  query: Query;
  session: Session;
}

/** What is shown of the queue. */
export function Filters({ told, query, session }: Props) {
  return (
    <div class="filters" role="group" aria-label="Show only">
      <Choice name="state" label="State" value={query.state} options={STATES} />
      {session.seesAll && (
        <Choice name="user" label="User" value={query.user} options={worded("All users", told.users, String)} />
      )}
      <Choice
        name="reason"
        label="Reason"
        value={query.reason}
        options={worded("All reasons", told.reasons, (name) => (name === "not_planned" ? reason("") : reason(name)))}
      />
      <Choice name="lane" label="Lane" value={query.lane} options={worded("Both lanes", told.lanes, String)} />
    </div>
  );
}

function worded(all: string, counted: readonly Counted[], word: (name: string) => string): [string, string][] {
  return [["", all], ...counted.map(({ name, jobs }): [string, string] => [name, `${word(name)} (${jobs})`])];
}

interface ChoiceProps {
  name: string;
  label: string;
  value: string | undefined;
  options: [string, string][];
}

function Choice({ name, label, value = "", options }: ChoiceProps) {
  // What was chosen stays there to be seen when no job is like that any more.
  const known = options.some(([one]) => one === value) ? options : [...options, [value, value] as const];
  return (
    <select
      aria-label={label}
      value={value}
      onChange={(event) => setQuery({ [name]: event.currentTarget.value, start: null })}
    >
      {known.map(([one, text]) => (
        <option key={one} value={one}>
          {text}
        </option>
      ))}
    </select>
  );
}
