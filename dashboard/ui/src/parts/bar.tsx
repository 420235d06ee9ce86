export interface Part {
  label: string;
  value: number;
  /** A class with a background: `reserved`, `resident`, `foreign`, `free`, `good`, `warn`, `bad`, `s1` to `s8`. */
  tone: string;
}

interface Props {
  parts: readonly Part[];
  /** The whole length; by default the sum of the parts. */
  total?: number;
  /** The same in words. */
  label: string;
}

/** Shares of a whole in one line. */
export function Bar({ parts, total, label }: Props) {
  const whole = total ?? parts.reduce((sum, part) => sum + part.value, 0);
  return (
    <span class="bar-line" role="img" aria-label={label} title={label}>
      {whole > 0 &&
        parts
          .filter((part) => part.value > 0)
          .map((part) => (
            <span
              key={part.label}
              class={`fill ${part.tone}`}
              style={{ width: `${Math.min(100, (100 * part.value) / whole)}%` }}
            />
          ))}
    </span>
  );
}
