import { useState } from "preact/hooks";
import { useSource } from "../../api";

/** Remove all that is known of a user; who does it types the name first. */
export function Forget({ user, onDone }: { user: string; onDone: () => void }) {
  const source = useSource();
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [told, setTold] = useState("");
  const [problem, setProblem] = useState("");

  const forget = async (event: Event): Promise<void> => {
    event.preventDefault();
    setProblem("");
    const path = `users/${encodeURIComponent(user)}/forget`;
    const answer = await source.send<{ gone: Record<string, number> }>("POST", path, { confirm: typed });
    if (!answer.ok) return setProblem(answer.problem.message);
    const rows = Object.values(answer.data.gone).reduce((sum, n) => sum + n, 0);
    setTold(`${user} is forgotten: ${rows.toLocaleString("en")} rows and files deleted.`);
    setTyped("");
    setOpen(false);
    onDone();
  };

  if (told) return <p role="status">{told}</p>;
  if (!open) {
    return (
      <button type="button" class="quiet" onClick={() => setOpen(true)}>
        Forget this user…
      </button>
    );
  }
  return (
    <form class="forget" onSubmit={(event) => void forget(event)}>
      <p>
        Jobs, prompts, results, outputs, uploads, settings and workflows of <strong>{user}</strong> go for
        good. Sums of usage stay, under no name. The user may still come in: take that away with{" "}
        <code>vramgate users revoke {user}</code>.
      </p>
      <label>
        Type the user's name{" "}
        <input type="text" value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />
      </label>{" "}
      <button type="submit" class="danger" disabled={typed !== user}>
        Forget {user}
      </button>
      {problem && (
        <p class="wrong" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
