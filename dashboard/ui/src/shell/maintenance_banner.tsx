import { when } from "../format";
import { useLive } from "../live";

/** Says that nothing new starts, why, and until when. */
export function MaintenanceBanner() {
  const { pool } = useLive();
  return (
    <div role="status">
      {pool?.closed && (
        <p class="banner">
          Maintenance: new prompts wait, what runs ends.
          {pool.closed_why && ` ${pool.closed_why}.`}
          {pool.closed_until_ms > 0 && ` It ends ${when(pool.closed_until_ms)}.`}
        </p>
      )}
    </div>
  );
}
