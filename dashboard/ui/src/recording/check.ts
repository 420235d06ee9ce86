// Holds a value against the part of JSON Schema that our schema is written in.

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  anyOf?: readonly Schema[];
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  pattern?: string;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
}

/** What is wrong first, and where: `$.nodes[3].seconds must be a number`; null: nothing. */
export function check(value: unknown, root: Schema): string | null {
  return checked(value, root, root, "$");
}

function checked(value: unknown, schema: Schema, root: Schema, path: string): string | null {
  if (schema.$ref) return checked(value, named(schema.$ref, root), root, path);
  if (schema.anyOf) {
    const found = schema.anyOf.map((one) => checked(value, one, root, path));
    if (found.includes(null)) return null;
    // Of several kinds, one that is null apart: the other's complaint is the one that helps.
    const deeper = found.find((one) => one !== null && !one.startsWith(`${path} `));
    return deeper ?? (schema.anyOf.length === 2 ? (found[0] ?? null) : `${path} is of no kind that belongs there`);
  }
  switch (schema.type) {
    case "object":
      return object(value, schema, root, path);
    case "array":
      return array(value, schema, root, path);
    case "string":
      return text(value, schema, path);
    case "integer":
    case "number":
      return number(value, schema, path);
    case "boolean":
      return typeof value === "boolean" ? null : `${path} must be true or false`;
    case "null":
      return value === null ? null : `${path} must be null`;
    default:
      return null;
  }
}

function named(ref: string, root: Schema): Schema {
  return root.$defs?.[ref.slice("#/$defs/".length)] ?? {};
}

function object(value: unknown, schema: Schema, root: Schema, path: string): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return `${path} must be an object`;
  const fields = value as Record<string, unknown>;
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(fields, name)) return `${path} lacks "${name}"`;
  }
  const { properties = {}, additionalProperties: others } = schema;
  // Only names that are there are looked at; "constructor" and the like are names as any other.
  for (const name of Object.keys(fields)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : typeof others === "object" ? others : null;
    const problem = known ? checked(fields[name], known, root, `${path}.${name}`) : null;
    if (problem) return problem;
  }
  return null;
}

function array(value: unknown, schema: Schema, root: Schema, path: string): string | null {
  if (!Array.isArray(value)) return `${path} must be a list`;
  if (!schema.items) return null;
  for (let n = 0; n < value.length; n += 1) {
    const problem = checked(value[n], schema.items, root, `${path}[${n}]`);
    if (problem) return problem;
  }
  return null;
}

function text(value: unknown, schema: Schema, path: string): string | null {
  if (typeof value !== "string") return `${path} must be a text`;
  if (schema.maxLength !== undefined && value.length > schema.maxLength) {
    return `${path} is longer than ${schema.maxLength} characters`;
  }
  if (schema.pattern && !new RegExp(schema.pattern).test(value)) return `${path} is not as it must be`;
  return null;
}

function number(value: unknown, schema: Schema, path: string): string | null {
  if (typeof value !== "number") return `${path} must be a number`;
  if (schema.type === "integer" && !Number.isInteger(value)) return `${path} must be a whole number`;
  if (schema.minimum !== undefined && value < schema.minimum) return `${path} is less than ${schema.minimum}`;
  if (schema.maximum !== undefined && value > schema.maximum) return `${path} is more than ${schema.maximum}`;
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) {
    return `${path} must be less than ${schema.exclusiveMaximum}`;
  }
  return null;
}
