import { Chip, type Tone } from "../../parts/chip";
import { Ask } from "./ask";
import { type OpenApi, type Operation, replyOf, typeOf } from "./document";
import { SchemaTree } from "./schema";
import { Words } from "../../parts/words";

const TONES: Record<string, Tone> = { GET: "info", POST: "good", PUT: "good", PATCH: "good", DELETE: "bad" };

interface Props {
  document: OpenApi;
  operation: Operation;
  open: boolean;
  onToggle: (open: boolean) => void;
}

/** One operation: closed a line, open all about it. */
export function OperationView({ document, operation, open, onToggle }: Props) {
  return (
    <details
      class="api-operation"
      open={open}
      onToggle={(event) => event.currentTarget.open !== open && onToggle(event.currentTarget.open)}
    >
      <summary>
        <Chip tone={TONES[operation.method] ?? "plain"}>{operation.method}</Chip> <code>{operation.path}</code>{" "}
        <span>{operation.summary}</span>
      </summary>
      {open && <About document={document} operation={operation} />}
    </details>
  );
}

function About({ document, operation }: { document: OpenApi; operation: Operation }) {
  const parameters = operation.parameters ?? [];
  const bodies = Object.entries(operation.requestBody?.content ?? {});
  return (
    <div class="api-about">
      {operation.description && (
        <p>
          <Words text={operation.description} />
        </p>
      )}
      {operation.alsoUnderApi && (
        <p class="muted">
          Also as <code>/api{operation.path}</code>.
        </p>
      )}
      {parameters.length > 0 && (
        <>
          <h3>What it takes</h3>
          <dl>
            {parameters.map((one) => (
              <div key={`${one.in} ${one.name}`}>
                <dt>
                  <code>{one.name}</code> <span class="muted">{one.required ? "needed" : one.in}</span>
                </dt>
                <dd>
                  {one.schema && <code>{typeOf(one.schema)}</code>} <Words text={one.description} />
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
      {bodies.map(([type, body]) => (
        <div key={type}>
          <h3>Body ({type})</h3>
          {body.schema && <SchemaTree document={document} schema={body.schema} />}
        </div>
      ))}
      <h3>What it answers</h3>
      <Replies document={document} operation={operation} />
      {operation["x-messages"] && (
        <>
          <h3>What the socket says</h3>
          <SchemaTree document={document} schema={operation["x-messages"]} />
        </>
      )}
      <h3>Ask it</h3>
      <Ask operation={operation} />
    </div>
  );
}

function Replies({ document, operation }: { document: OpenApi; operation: Operation }) {
  return (
    <dl>
      {Object.entries(operation.responses).map(([status, told]) => {
        const reply = replyOf(document, told);
        const shapes = Object.values(reply.content ?? {}).flatMap((one) => (one.schema ? [one.schema] : []));
        return (
          <div key={status}>
            <dt>
              <code>{status}</code>
            </dt>
            <dd>
              <Words text={reply.description} />{" "}
              {shapes.map((schema, n) => (
                <SchemaTree key={n} document={document} schema={schema} />
              ))}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}
