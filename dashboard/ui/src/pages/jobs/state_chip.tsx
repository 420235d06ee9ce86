import { Chip } from "../../parts/chip";
import { shortly, state, why } from "./words";

/** A job's state, with its reason as a title. */
export function StateChip({ code, reason = "" }: { code: string; reason?: string }) {
  const [word, tone] = state(code);
  const more = code === "FAILED" && reason ? `: ${shortly(reason)}` : "";
  return (
    <Chip tone={tone} title={why(code, reason)}>
      {word}
      {more}
    </Chip>
  );
}
