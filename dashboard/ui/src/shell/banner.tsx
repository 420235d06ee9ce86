import { duration } from "../format";
import { useLive, type View } from "../live";
import { useNow } from "../now";

/** Says when the live figures are old, and why. */
export function LineBanner() {
  const view = useLive();
  const now = useNow();
  const old = view.nowMs
    ? `Live figures are ${duration((now + view.skewMs - view.nowMs) / 1000)} old.`
    : "There are no live figures.";
  const said = view.user ? saidOf(view) : "";
  return (
    <div class={said ? "banner" : ""}>
      {/* the age counts on each second: it is not read out anew */}
      <span role="alert">{said}</span>
      {said && ` ${old}`}{" "}
      {said && view.line === "refused" && (
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      )}
    </div>
  );
}

function saidOf({ line, notice }: View): string {
  if (line === "disconnected") return "Disconnected. Trying again by itself.";
  return line === "unavailable" || line === "refused" ? `${notice.replace(/\.$/, "")}.` : "";
}
