import { useApi } from "../api";
import { when } from "../format";

export interface Maintenance {
  on: boolean;
  message: string;
  until_ms: number | null;
}

/** How often it is looked at, seconds. */
const EVERY_S = 30;

/** Says that nothing new starts, why, and until when. */
export function MaintenanceBanner() {
  const { data } = useApi<Maintenance>("maintenance", {}, EVERY_S);
  return (
    <div role="status">
      {data?.on && (
        <p class="banner">
          Maintenance: new prompts wait, what runs ends.
          {data.message && ` ${data.message}.`}
          {data.until_ms && ` It ends ${when(data.until_ms)}.`}
        </p>
      )}
    </div>
  );
}
