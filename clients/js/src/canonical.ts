/**
 * Variables in the one spelling that the server gives them, so that equal questions have equal URLs: keys sorted, defaults
 * filled in, what is null in a query left out. The server takes any spelling and names its own in `Content-Location`;
 * another one costs a second copy in the caches between, nothing else. What only the schema could tell (that `5` inside an
 * input object is a Float) is left as it is written.
 */
import type { TypeNode, ValueNode, VariableDefinitionNode } from "graphql";

/** What a variable may hold: whatever JSON can be made of. */
export type Variables = Readonly<Record<string, unknown>>;

/**
 * The variables of a query as canonical JSON; `{}` where there are none.
 *
 * With the operation's definitions, its defaults are filled in and undeclared variables left out, as the server refuses
 * those. Without them, the variables themselves are kept as they are.
 */
export function canonicalVariables(variables: Variables = {}, definitions?: readonly VariableDefinitionNode[]): string {
  if (!definitions) return write(variables, true);
  const members: [string, string][] = [];
  for (const { variable, type, defaultValue } of definitions) {
    const given = variables[variable.name.value];
    const value = given === undefined && defaultValue ? literal(defaultValue) : given;
    // To give null for a variable without a default says no more than not to give it.
    if (value === undefined || (value === null && !defaultValue)) continue;
    members.push([variable.name.value, typed(value, type)]);
  }
  return object(members);
}

/** A component of a URL: all but the unreserved characters of RFC 3986 are encoded, as the server does. */
export function encodeComponent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** A value whose type the document declares. */
function typed(value: unknown, type: TypeNode): string {
  if (type.kind === "NonNullType") return typed(value, type.type);
  if (value === null) return "null";
  if (type.kind === "ListType") {
    // One value is a list of one.
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
  // A condition that is null is none, at any depth.
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

/** As the server writes one: `5.0`, `1e-6`, `10000000000000000`, `1e+20`. Integers that 64 bits hold have no exponent. */
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

/** What a default says. Defaults hold no variables. */
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
