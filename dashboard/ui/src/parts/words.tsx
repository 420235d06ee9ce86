/** A text with `code` in it: what is in backticks. */
export function Words({ text = "" }: { text?: string | undefined }) {
  return <>{text.split("`").map((part, n) => (n % 2 ? <code key={n}>{part}</code> : part))}</>;
}
