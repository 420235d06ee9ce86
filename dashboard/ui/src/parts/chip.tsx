import type { ComponentChildren } from "preact";

export type Tone = "plain" | "good" | "info" | "warn" | "bad";

interface Props {
  tone?: Tone;
  title?: string;
  children: ComponentChildren;
}

/** A short state beside something; never by colour alone. */
export function Chip({ tone = "plain", title, children }: Props) {
  return (
    <span class={`chip ${tone}`} title={title}>
      {children}
    </span>
  );
}
