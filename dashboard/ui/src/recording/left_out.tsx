import type { Perf } from "./types";

/** What is not in a recording, so that nobody takes it for all there was. */
export function LeftOut({ perf }: { perf: Perf }) {
  if (perf.left_out.length === 0) return null;
  return (
    <p class="small muted" role="note">
      Not in this file:{" "}
      {perf.left_out
        .map((one) => `${one.count.toLocaleString("en")} ${one.part}${one.why ? ` (${one.why})` : ""}`)
        .join(", ")}
      .
    </p>
  );
}
