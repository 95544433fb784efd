/**
 * Variables in the canonical form that the server uses, so that equal requests have equal URLs: keys are sorted, defaults
 * filled in, and in queries, nulls left out. The server accepts any other form and names the canonical one in
 * `Content-Location`; another form only costs a second copy in the caches between. What only the schema can tell (that
 * `5` inside an input object is a Float) is left as it is.
 */
import type { TypeNode, ValueNode, VariableDefinitionNode } from "graphql";

/** The value of a variable: anything that can be converted to JSON. */
export type Variables = Readonly<Record<string, unknown>>;

/**
 * The variables of a query as canonical JSON; `{}` if there are none.
 *
 * With the operation's variable definitions, defaults are filled in, and undeclared variables are left out, since the
 * server refuses them. Without definitions, the variables are kept as they are.
 */
export function canonicalVariables(variables: Variables = {}, definitions?: readonly VariableDefinitionNode[]): string {
  if (!definitions) return write(variables, true);
  const members: [string, string][] = [];
  for (const { variable, type, defaultValue } of definitions) {
    const given = variables[variable.name.value];
    const value = given === undefined && defaultValue ? literal(defaultValue) : given;
    // For a variable without a default, null means the same as no value.
    if (value === undefined || (value === null && !defaultValue)) continue;
    members.push([variable.name.value, typed(value, type)]);
  }
  return object(members);
}

/** A component of a URL: everything except RFC 3986's unreserved characters is encoded, as by the server. */
export function encodeComponent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** A value whose type the document declares. */
function typed(value: unknown, type: TypeNode): string {
  if (type.kind === "NonNullType") return typed(value, type.type);
  if (value === null) return "null";
  if (type.kind === "ListType") {
    // A single value stands for a list of one.
    const items = Array.isArray(value) ? value : [value];
    return `[${items.map((item) => typed(item, type.type)).join(",")}]`;
  }
  if (typeof value === "number") {
    if (type.name.value === "ID" || type.name.value === "BigInt") return JSON.stringify(String(value));
    if (type.name.value === "Float") return float(value);
  }
  return write(value, false);
}

function write(value: unknown, isTop: boolean): string {
  const json = typeof value === "object" && value !== null && "toJSON" in value ? toJson(value) : value;
  switch (typeof json) {
    case "bigint":
      return `"${json}"`;
    case "number":
      return Number.isFinite(json) && !Number.isInteger(json) ? float(json) : JSON.stringify(json);
    case "object":
      break;
    default:
      return JSON.stringify(json) ?? "null";
  }
  if (json === null) return "null";
  if (Array.isArray(json)) return `[${json.map((item) => write(item, false)).join(",")}]`;
  // A null condition is no condition, at any depth.
  const members = Object.entries(json).filter(([, value]) => value !== undefined && (isTop || value !== null));
  return object(members.map(([name, value]) => [name, write(value, false)]));
}

function toJson(value: object): unknown {
  const text = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}

function object(members: [string, string][]): string {
  members.sort(([a], [b]) => byCodePoint(a, b));
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** A float as the server writes it: `5.0`, `1e-6`, `10000000000000000`, `1e+20`. 64-bit integers have no exponent. */
function float(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0.0";
  if (size >= 1e16 && value > -9.3e18 && value < 2 ** 64) return BigInt(value).toString();
  if (size >= 1e16 || size < 1e-5) return value.toExponential();
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** The order of UTF-8 bytes. Comparing UTF-16 code units would put some characters above U+FFFF too early. */
function byCodePoint(a: string, b: string): number {
  const [as, bs] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(as.length, bs.length); i++) {
    const difference = as[i]!.codePointAt(0)! - bs[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return as.length - bs.length;
}

/** The value of a default, which contains no variables. */
function literal(node: ValueNode): unknown {
  switch (node.kind) {
    case "IntValue":
    case "FloatValue":
      return Number(node.value);
    case "StringValue":
    case "EnumValue":
    case "BooleanValue":
      return node.value;
    case "ListValue":
      return node.values.map(literal);
    case "ObjectValue":
      return Object.fromEntries(node.fields.map((field) => [field.name.value, literal(field.value)]));
    default:
      return null;
  }
}
