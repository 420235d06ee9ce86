import { useState } from "preact/hooks";
import { bytes } from "../../format";
import { Chip } from "../../parts/chip";
import { curl, type Operation } from "./document";

/** So much of an answer is shown. */
const SHOWN = 20_000;

interface Told {
  status: number;
  text: string;
  size: number;
  ms: number;
}

/** Fill in what a GET takes and ask it, with the rights of whoever looks. */
export function Ask({ operation }: { operation: Operation }) {
  const [given, give] = useState<Record<string, string>>({});
  const [told, tell] = useState<Told | string | null>(null);
  const [asking, busy] = useState(false);
  const taken = (operation.parameters ?? []).filter((one) => one.in === "path" || one.in === "query");
  const address = addressOf(operation, given);
  const missing = taken.some((one) => one.in === "path" && !given[one.name]);

  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    busy(true);
    tell(await asked(address));
    busy(false);
  };

  return (
    <form class="api-ask" onSubmit={ask}>
      {taken.map((one) => (
        <label key={`${one.in} ${one.name}`}>
          <span>
            {one.name}
            {one.in === "path" && " (needed)"}
          </span>
          <input
            type="text"
            value={given[one.name] ?? ""}
            onInput={(event) => give({ ...given, [one.name]: event.currentTarget.value })}
          />
        </label>
      ))}
      <p class="api-curl">
        <code>{curl(operation, address)}</code>
      </p>
      {operation.method === "GET" && (
        <button type="submit" disabled={missing || asking}>
          {asking ? "Asking …" : "Ask"}
        </button>
      )}
      <div aria-live="polite">{told !== null && <Answer told={told} />}</div>
    </form>
  );
}

function Answer({ told }: { told: Told | string }) {
  if (typeof told === "string") return <p class="problem">{told}</p>;
  return (
    <>
      <p>
        <Chip tone={told.status < 400 ? "good" : "bad"}>{told.status}</Chip> {bytes(told.size)} in{" "}
        {told.ms.toFixed(0)} ms
      </p>
      <pre tabIndex={0} aria-label="The answer">
        {told.text}
      </pre>
    </>
  );
}

/** Below wherever the gateway is mounted: the dashboard lies one folder deep. */
function addressOf(operation: Operation, given: Record<string, string>): string {
  const path = operation.path.replace(/\{(\w+)\}/g, (whole, name: string) =>
    given[name] ? encodeURIComponent(given[name]) : whole,
  );
  const found = new URL(`..${path}`, document.baseURI);
  found.hash = "";
  for (const one of operation.parameters ?? []) {
    const value = given[one.name];
    if (one.in === "query" && value) found.searchParams.set(one.name, value);
  }
  return decodeBraces(found.href);
}

/** A path's `{name}` that nobody has filled in stays readable. */
function decodeBraces(address: string): string {
  return address.replace(/%7B(\w+)%7D/g, "{$1}");
}

async function asked(address: string): Promise<Told | string> {
  const began = performance.now();
  try {
    const response = await fetch(address, { cache: "no-store" });
    const blob = await response.blob();
    const text = isText(response) ? pretty(await blob.text()) : "(no text)";
    return { status: response.status, text: cut(text), size: blob.size, ms: performance.now() - began };
  } catch {
    return "The server does not answer. Is it running, and is this machine on its network?";
  }
}

function isText(response: Response): boolean {
  return /json|text/.test(response.headers.get("Content-Type") ?? "text");
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // it is none, and shown as it is
  }
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}\n… and ${text.length - SHOWN} characters more` : text;
}
