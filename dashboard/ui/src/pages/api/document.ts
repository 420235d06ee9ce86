// OpenAPI as the gateway tells it, as far as this page shows it.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema | boolean;
  prefixItems?: Schema[];
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

export interface Reply {
  $ref?: string;
  description?: string;
  content?: Record<string, { schema?: Schema }>;
}

export interface Described {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses: Record<string, Reply>;
  "x-messages"?: Schema;
}

export interface OpenApi {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Described> & { servers?: { url: string }[] }>;
  components: { schemas?: Record<string, Schema>; responses?: Record<string, Reply> };
}

/** One way to ask something. */
export interface Operation extends Described {
  /** `GET /dashboard/api/v1/jobs`; its link, too. */
  id: string;
  method: string;
  path: string;
  tag: string;
  /** Under `/api` as well, as ComfyUI has it. */
  alsoUnderApi: boolean;
}

const METHODS = ["get", "post", "put", "patch", "delete"];

/** All operations, in the order of the document. */
export function operations(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => {
      const told = item[method] as Described;
      return {
        ...told,
        id: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        tag: told.tags?.[0] ?? "other",
        alsoUnderApi: (item.servers?.length ?? 0) > 1,
      };
    }),
  );
}

/** Those that have all the words somewhere. */
export function matching(all: readonly Operation[], words: string): Operation[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((one) => {
    const text = `${one.id} ${one.summary ?? ""} ${one.description ?? ""}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

/** Last part of a reference: the schema's name. */
export function nameOf(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

export function schemaOf(document: OpenApi, schema: Schema): Schema {
  return schema.$ref ? (document.components.schemas?.[nameOf(schema.$ref)] ?? {}) : schema;
}

export function replyOf(document: OpenApi, reply: Reply): Reply {
  return reply.$ref ? (document.components.responses?.[nameOf(reply.$ref)] ?? {}) : reply;
}

/** A type in a few words: `list of JobLine`, `whole number or null`. */
export function typeOf(schema: Schema): string {
  if (schema.$ref) return nameOf(schema.$ref).replace(/^Dashboard/, "");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const types = [schema.type ?? "anything"].flat();
  return types.map((type) => named(type, schema)).join(" or ");
}

function named(type: string, schema: Schema): string {
  switch (type) {
    case "array":
      return typeof schema.items === "object" ? `list of ${typeOf(schema.items)}` : "list";
    case "object":
      return typeof schema.additionalProperties === "object"
        ? `object of ${typeOf(schema.additionalProperties)} by name`
        : "object";
    case "integer":
      return `whole number${bounds(schema)}`;
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    default:
      return type;
  }
}

function bounds({ minimum, maximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return ` ${minimum}…${maximum}`;
  if (minimum !== undefined) return ` ≥ ${minimum}`;
  return maximum !== undefined ? ` ≤ ${maximum}` : "";
}

/** What is inside a schema, to be opened: the objects that it is made of. */
export function partsOf(schema: Schema): Schema[] {
  if (schema.$ref || schema.properties) return [schema];
  const inner = [
    ...(schema.anyOf ?? schema.oneOf ?? []),
    ...(schema.prefixItems ?? []),
    ...(typeof schema.items === "object" ? [schema.items] : []),
    ...(typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : []),
  ];
  return inner.flatMap(partsOf);
}

/** The same question for a terminal; the key is the asker's to put in. */
export function curl(operation: Operation, address: string): string {
  const body = operation.requestBody ? " -H 'Content-Type: application/json' -d '{…}'" : "";
  const method = operation.method === "GET" ? "" : ` -X ${operation.method}`;
  return `curl${method} -H "Authorization: Bearer $VRAMGATE_KEY"${body} '${address}'`;
}
