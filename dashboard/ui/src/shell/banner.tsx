import { duration } from "../format";
import { useLive } from "../live";
import { useNow } from "../now";

/** Says when the live figures are old, and why. */
export function LineBanner() {
  const view = useLive();
  const now = useNow();
  const old = view.nowMs
    ? `Live figures are ${duration((now + view.skewMs - view.nowMs) / 1000)} old.`
    : "There are no live figures.";
  return (
    <div role="alert">
      {view.user && view.line === "disconnected" && (
        <p class="banner">Disconnected. {old} Trying again by itself.</p>
      )}
      {view.line === "unavailable" && (
        <p class="banner">
          {view.notice}. {old}
        </p>
      )}
    </div>
  );
}
