import { type OpenApi, nameOf, partsOf, type Schema, schemaOf, typeOf } from "./document";
import { Words } from "../../parts/words";

interface Props {
  document: OpenApi;
  schema: Schema;
}

/** A type: its name, and below it what it is made of, as far as one opens it. */
export function SchemaTree({ document, schema }: Props) {
  return (
    <>
      <code>{typeOf(schema)}</code>
      {partsOf(schema).map((part, n) => (
        <Part key={n} document={document} schema={part} />
      ))}
    </>
  );
}

function Part({ document, schema }: Props) {
  const found = schemaOf(document, schema);
  const fields = Object.entries(found.properties ?? {});
  if (fields.length === 0) return null;
  const name = schema.$ref ? nameOf(schema.$ref).replace(/^Dashboard/, "") : "its fields";
  return (
    <details class="api-schema">
      <summary>{name}</summary>
      {found.description && (
        <p class="muted">
          <Words text={found.description.replaceAll("``", "`")} />
        </p>
      )}
      <dl>
        {fields.map(([field, inner]) => (
          <div key={field}>
            <dt>
              <code>{field}</code>
              {!found.required?.includes(field) && <span class="muted"> may be missing</span>}
            </dt>
            <dd>
              <SchemaTree document={document} schema={inner} />
              {inner.description && <span class="muted"> {inner.description}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
