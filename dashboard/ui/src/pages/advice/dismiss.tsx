import { useEffect, useId, useState } from "preact/hooks";
import { usePost } from "../../api";
import { Dialog } from "../../parts/dialog";
import { Problem } from "../../parts/problem";
import type { Session } from "../../session";
import type { Advice } from "./shapes";

interface Props {
  advice: Advice | null;
  session: Session;
  onClose: () => void;
  onDone: () => void;
}

const REASONS = ["I know, and want it so", "It is being worked on", "It does not fit here"];

/** Asks why. */
export function DismissDialog({ advice, session, onClose, onDone }: Props) {
  const post = usePost();
  const id = useId();
  const [why, setWhy] = useState("");
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    setWhy("");
    setWrong("");
  }, [advice?.id]);
  if (!advice) return null;

  const send = async (): Promise<void> => {
    const answer = await post(`advice/${encodeURIComponent(advice.id)}/dismiss`, { why: why.trim() });
    if (!answer.ok) return setWrong(answer.problem.message);
    onClose();
    onDone();
  };
  return (
    <Dialog
      open
      title="Hear no more of this?"
      onClose={onClose}
      actions={
        <button type="button" disabled={why.trim() === ""} onClick={() => void send()}>
          Dismiss
        </button>
      }
    >
      <p>{advice.title}</p>
      <p class="muted">
        {session.seesAll ? "It goes for all admins; artists keep theirs." : "It goes for you alone."} It comes back
        only if far more would be gained.
      </p>
      <label for={id}>Why</label>
      <input id={id} list={`${id}-known`} maxLength={500} value={why} onInput={(event) => setWhy(event.currentTarget.value)} />
      <datalist id={`${id}-known`}>
        {REASONS.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      {wrong && <Problem message={wrong} />}
    </Dialog>
  );
}
