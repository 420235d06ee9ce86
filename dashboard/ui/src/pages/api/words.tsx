/** A text of the description: what is in backticks is code. */
export function Words({ text = "" }: { text?: string | undefined }) {
  return <>{text.split("`").map((part, n) => (n % 2 ? <code key={n}>{part}</code> : part))}</>;
}
