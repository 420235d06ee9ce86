import { duration } from "../format";
import { useLive } from "../live";
import { useNow } from "../now";

/** Says when the live figures are old, and why. */
export function LineBanner() {
  const view = useLive();
  const now = useNow();
  const old = view.overview
    ? `These figures are ${duration((now + view.skewMs - view.overview.now_ms) / 1000)} old.`
    : "";
  return (
    <div role="alert">
      {view.overview && view.line === "disconnected" && (
        <p class="banner">Disconnected. {old} Trying again by itself.</p>
      )}
      {view.overview && view.line === "unavailable" && (
        <p class="banner">
          {view.notice}. {old}
        </p>
      )}
    </div>
  );
}
