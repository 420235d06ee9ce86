import { useEffect, useState } from "preact/hooks";
import { usePost } from "../../api";
import { useLive } from "../../live";
import { Dialog } from "../../parts/dialog";
import { Problem } from "../../parts/problem";

export interface Wanted {
  rule: string;
  subject: string;
}

interface Props {
  /** What to silence; null: the dialog is closed. */
  wanted: Wanted | null;
  onClose: () => void;
  onDone: () => void;
}

const TIMES = [
  ["30 minutes", 0.5],
  ["2 hours", 2],
  ["8 hours", 8],
  ["1 day", 24],
  ["1 week", 168],
  ["30 days", 720],
] as const;

/** Asks what to silence, for how long, and why. */
export function SilenceDialog({ wanted, onClose, onDone }: Props) {
  const [rule, setRule] = useState("*");
  const [subject, setSubject] = useState("*");
  const [hours, setHours] = useState(2);
  const [why, setWhy] = useState("");
  const [problem, say] = useState("");
  const post = usePost();
  const { skewMs } = useLive();
  useEffect(() => {
    if (!wanted) return;
    setRule(wanted.rule);
    setSubject(wanted.subject);
    say("");
  }, [wanted]);

  const silence = async (event: Event): Promise<void> => {
    event.preventDefault();
    const until = Date.now() + skewMs + hours * 3_600_000;
    const answer = await post("alerts/silences", { rule, subject, why, until_ms: until });
    if (!answer.ok) return say(answer.problem.message);
    setWhy("");
    onDone();
    onClose();
  };
  return (
    <Dialog
      open={wanted !== null}
      title="Silence alerts"
      onClose={onClose}
      actions={
        <button type="submit" form="silence">
          Silence
        </button>
      }
    >
      <form id="silence" class="silence-form" onSubmit={silence}>
        <label>
          Rule, <code>*</code> for any part
          <input value={rule} required maxLength={200} onInput={(e) => setRule(e.currentTarget.value)} />
        </label>
        <label>
          About
          <input value={subject} required maxLength={200} onInput={(e) => setSubject(e.currentTarget.value)} />
        </label>
        <label>
          For
          <select value={String(hours)} onChange={(e) => setHours(Number(e.currentTarget.value))}>
            {TIMES.map(([title, value]) => (
              <option key={title} value={String(value)}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <label>
          Why, for those who wonder later
          <input value={why} required maxLength={500} onInput={(e) => setWhy(e.currentTarget.value)} />
        </label>
        {problem && <Problem message={problem} />}
      </form>
    </Dialog>
  );
}
