import { useState } from "preact/hooks";
import { useSource } from "../../api";
import { useNow } from "../../now";
import type { By } from "./shapes";
import { months } from "./figures";

interface Props {
  query: { from: number; until: number; by: By; user: string | undefined };
}

const FORMS = ["csv", "json", "html"] as const;

/** Usage as files, with every digit. */
export function Files({ query }: Props) {
  const source = useSource();
  const all = months(useNow(60_000));
  const [month, setMonth] = useState(all[0] ?? "");
  const [days, setDays] = useState(false);
  const { by, user } = query;
  const each = days ? "day" : "all";
  const link = (form: string, time: object): string | null =>
    source.url("users/statement", { ...time, by, user, each, form });
  if (link("csv", query) === null) return null;
  return (
    <section class="panel usage-files">
      <h2>Files</h2>
      <p class="muted">
        Whole numbers as they were counted: their sums are what the ledger's books say, to the last
        digit.
      </p>
      <p>
        <label>
          <input type="checkbox" checked={days} onChange={(e) => setDays(e.currentTarget.checked)} /> Days
          apart
        </label>
      </p>
      <div class="row">
        <span>The time shown above:</span>
        {FORMS.map((form) => (
          <a key={form} href={link(form, { from: query.from, until: query.until }) ?? ""} download>
            {form.toUpperCase()}
          </a>
        ))}
      </div>
      <div class="row">
        <label>
          Statement of{" "}
          <select value={month} onChange={(event) => setMonth(event.currentTarget.value)}>
            {all.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        {FORMS.map((form) => (
          <a key={form} href={link(form, { month }) ?? ""} download>
            <span class="hidden">Statement as </span>
            {form.toUpperCase()}
          </a>
        ))}
      </div>
    </section>
  );
}
