// Makes documents and says what graphql-js thinks of them: `node documents.mjs SEED COUNT SDL_FILE` prints a line of JSON
// for each. The same seed gives the same documents. `graphql_js.rs` compares.
import { readFileSync } from "node:fs";
import * as js16 from "graphql";
import * as js17 from "graphql17";

const [seed, count, sdlFile] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];

// mulberry32
let state = seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (items) => items[below(items.length)];
const chance = (p) => random() < p;

// What the grammar has, in one place or another; the schema knows none of it.
const written = [
  `query Q($a: ID ! = 1 @d, $b: [ ID! ] ! @d(x: [1]), $c: [[Int]]) { a }`,
  `"asks" query Q("the id" $id: ID!, """more""" $n: Int = 1) { a } "part" fragment F on T { a }`,
  `{ true: a, null, fragment: query { on mutation } ...onward ...on T @d { a } ... @d { a } ... { a } }`,
  `\uFEFFquery nullable{falsehood(trueish:nulls)} # end`,
  `{ a(b: "\\uD83D\\uDE00 \\u{1F600} \\u{0041} \\" \\\\ \\/ \\b\\f\\n\\r\\t é😀", c: """ block "quotes" \\""" \\n\r\n\tmore """) }`,
  `{ a(i: -0, j: 0, k: 123456789012345678901234567890, l: -1.5e-10, m: 0.0E+5, n: 1e999) }`,
  `{ a(v: $v, l: [], m: [[$x], {}], o: {a: null, b: true, c: ENUM, d: {e: "f"}, a: 1}) @skip(if: true) @include(if: $c) }`,
  `subscription on @d { type } mutation M { input }`,
  `fragment on1 on on { a } query query { ...on1 }`,
  `type T implements & A & B @d { "desc" f(a: Int = 1 @d, "x" b: [T!]!): [T]! @d g: ID } extend type T @e`,
  `schema @d { query: Q mutation: M } extend schema @d scalar S @d union U @d = | A | B union V interface I { a: B }`,
  `enum E @d { A "b" B @d on type } input N @d { a: Int = {b: 1}, c: [D!]! = [] } directive @x(a: B) repeatable on | FIELD | QUERY`,
  `extend enum E { A } extend input N { a: B } extend union U = A extend interface I implements J extend scalar S @d`,
  `# only a comment`,
  ``,
  `{a{b{c{d(e:{f:[{g:1}]}){h}}}}}`,
];

const words = [
  "query", "mutation", "subscription", "fragment", "on", "type", "extend", "enum", "input", "implements", "repeatable",
  "directive", "schema", "true", "false", "null", "trueish", "a", "_", "A1", "{", "}", "(", ")", "[", "]", "!", ":", "=",
  "@", "$", "|", "&", "...", ".", "..", ",", "0", "-0", "01", "-", "1.", "1.5", "1e", "1e5", "1x", "-1", '""', '"x"',
  '"""b"""', '"', '"""', '"\\u{1F600}"', '"\\uD83D\\uDE00"', '"\\uD83D"', '"\\u{}"', '"\\u{110000}"', '"\\u00"', '"\\x"',
  "#c\n", "\n", "\r", "\r\n", "\uFEFF", "é", "😀", "'", ";", "?", "$v", "@d", "\u0000", "\u0007",
];

// One small change or several, by tokens or by characters.
const token = /"""[^]*?"""|"(?:\\.|[^"\\\n\r])*"|[_A-Za-z][_0-9A-Za-z]*|-?[0-9.eE+-]+|\.\.\.|\s+|./gsu;
function mutate(text) {
  const parts = text.match(chance(0.8) ? token : /./gsu) ?? [];
  for (let changes = 1 + below(3); changes > 0; changes--) {
    const at = below(parts.length + 1);
    switch (below(5)) {
      case 0: parts.splice(at, 1); break;
      case 1: parts.splice(at, 0, pick(words)); break;
      case 2: parts.splice(at, 1, pick(words)); break;
      case 3: parts.splice(at, 0, parts[below(parts.length)] ?? ""); break;
      default: parts.splice(at, 1 + below(4)); break;
    }
  }
  return parts.join("");
}

const sdl = readFileSync(sdlFile, "utf8");
const schema = js16.buildSchema(sdl);
const { isNonNullType, isListType, isEnumType, isInputObjectType, isScalarType, isObjectType, getNamedType } = js16;

// A document that is valid for the most part.
function generate() {
  const variables = new Map();
  const fragments = [];
  let budget = 25;

  // A variable of a type that fits, mostly.
  function variable(type) {
    const name = `v${variables.size}`;
    let written = String(type);
    if (!isNonNullType(type) && chance(0.3)) written += "!";
    if (isNonNullType(type) && chance(0.03) && String(type) !== "OrderDirection!") written = written.slice(0, -1);
    if (chance(0.03)) written = pick(["Int", "[Int!]", "String!", "ID", "Boolean!", "[ID]!"]);
    variables.set(name, chance(0.15) && !written.endsWith("!") ? `${written} = ${literal(type, 3, true)}` : written);
    return `$${name}`;
  }

  function literal(type, depth, constant, mayBeVariable = true) {
    if (!constant && mayBeVariable && chance(0.2)) return variable(type);
    if (isNonNullType(type)) return chance(0.01) ? "null" : literal(type.ofType, depth, constant, false);
    // A custom scalar takes for graphql-js any literal at all.
    const isCustom = isScalarType(type) && !js16.isSpecifiedScalarType(type);
    if (!isCustom && chance(0.012)) return pick(["null", "1", '"text"', "[]", "{}", "WORD", "true", "1.5", "[null]"]);
    if (isListType(type)) {
      if (chance(0.2)) return literal(type.ofType, depth, constant);
      return `[${Array.from({ length: below(3) }, () => literal(type.ofType, depth, constant)).join(", ")}]`;
    }
    if (isEnumType(type)) return pick(type.getValues()).name;
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields());
      let given = fields.filter((field) => isNonNullType(field.type) && field.defaultValue === undefined ? !chance(0.015) : depth > 0 && chance(2 / fields.length));
      // graphql-js overlooks variables that may be null where the type of the object stands in brackets or has a `!`.
      const inner = (ty) => (type.isOneOf && !isNonNullType(ty) ? new js16.GraphQLNonNull(ty) : ty);
      if (type.isOneOf) given = chance(0.985) ? [pick(fields)] : [pick(fields), pick(fields)];
      const members = given.map((field) => `${field.name}${chance(0.006) ? "x" : ""}: ${literal(inner(field.type), depth - 1, constant)}`);
      if (chance(0.006) && members.length > 0) members.push(members[0]);
      return `{${members.join(", ")}}`;
    }
    return scalar(type.name);
  }

  // What everybody takes.
  function scalar(name) {
    switch (name) {
      case "Int": return String(below(100));
      case "Float": return pick(["1.5", "2", "-0.5e3"]);
      case "Boolean": return pick(["true", "false"]);
      case "ID": return pick(["1", "-0", '"x"', "123456789012345678901234567890"]);
      case "BigInt": return pick(["5", '"5"']);
      case "Decimal": return pick(["5", '"5.00"', "1.25"]);
      case "DateTime": return '"2026-11-22T09:30:00Z"';
      case "Date": return '"2026-11-22"';
      case "UUID": return '"0190d0a1-7f3c-7000-8000-000000000001"';
      case "JSON": return pick(["{a: [1, null]}", "5", '"x"', "true"]);
      default: return pick(['"x"', '"é😀"', '"""b"""']);
    }
  }

  function directives() {
    if (!chance(0.08)) return "";
    const argument = chance(0.5) ? variable(new js16.GraphQLNonNull(js16.GraphQLBoolean)) : pick(["true", "false", chance(0.1) ? "1" : "true"]);
    return ` @${pick(["skip", "include", "skip", "include", "skip", "include", chance(0.2) ? "unknown" : "skip"])}(if: ${argument})`;
  }

  function selection(type, depth) {
    const fields = Object.values(type.getFields());
    const leaves = fields.filter((field) => !isObjectType(getNamedType(field.type)));
    const selections = [];
    for (let n = 1 + below(4); n > 0; n--) {
      budget--;
      if (chance(0.06)) {
        selections.push(`__typename${directives()}`);
      } else if (chance(0.08) && depth > 0) {
        selections.push(`... ${chance(0.7) ? `on ${chance(0.98) ? type.name : "Query"} ` : ""}${directives()} ${selection(type, depth - 1)}`);
      } else if (chance(0.08) && depth > 0) {
        const name = `F${fragments.length}`;
        fragments.push("");
        fragments[Number(name.slice(1))] = `fragment ${name} on ${type.name} ${selection(type, depth - 1)}`;
        selections.push(`...${chance(0.012) ? "Missing" : name}${directives()}`);
      } else {
        const field = depth > 0 && budget > 0 || leaves.length === 0 ? pick(fields) : pick(leaves);
        const inner = getNamedType(field.type);
        const given = field.args.filter((argument) => isNonNullType(argument.type) ? !chance(0.01) : chance(0.2));
        // A field is asked for again under its own name only now and then, for then the arguments must be the same.
        const alias = chance(0.85) ? `k${budget < 0 ? `_${-budget}` : budget}: ` : "";
        const name = chance(0.006) ? `${field.name}x` : field.name;
        const written = given.map((argument) => `${argument.name}${chance(0.006) ? "x" : ""}: ${literal(argument.type, 2, false)}`);
        const list = written.length > 0 ? `(${written.join(", ")})` : "";
        const below_ = isObjectType(inner) ? (chance(0.006) ? "" : selection(inner, depth - 1)) : chance(0.006) ? "{ x }" : "";
        selections.push(`${alias}${name}${list}${directives()} ${below_}`);
      }
    }
    return `{ ${selections.join(" ")} }`;
  }

  const root = chance(0.8) || !schema.getMutationType() ? schema.getQueryType() : schema.getMutationType();
  const body = selection(root, 5);
  if (chance(0.012)) variables.set("unused", "Int");
  if (chance(0.01)) fragments.push(`fragment Unused on ${root.name} { __typename }`);
  const declared = [...variables].map(([name, type]) => `$${name}: ${type}`).join(", ");
  const keyword = root === schema.getQueryType() ? "query" : "mutation";
  const name = pick(["", " Q", " Named"]);
  const head = declared || keyword === "mutation" || chance(0.5) ? `${keyword}${name}${declared ? `(${declared})` : ""} ` : "";
  const second = chance(0.01) ? `query ${pick(["Q", "Other"])} { __typename }` : "";
  return [`${head}${body}`, ...fragments, second].join("\n");
}

function parse(graphql, text) {
  try {
    return { document: graphql.parse(text) };
  } catch (error) {
    const [place] = error.locations ?? [];
    return { refused: { line: place?.line ?? 0, column: place?.column ?? 0, message: error.message } };
  }
}

function verdict(kind, text) {
  const [one, other] = [parse(js16, text), parse(js17, text)];
  const invalid = one.document ? js16.validate(schema, one.document).map((error) => error.message) : null;
  return { kind, text, refused: one.refused ?? null, refused17: other.refused ?? null, invalid };
}

const lines = [];
for (const text of written) lines.push(verdict("written", text));
for (let n = 0; n < count; n++) {
  const text = generate();
  lines.push(verdict("generated", text));
  lines.push(verdict("mutated", mutate(text)));
  lines.push(verdict("mutated", mutate(pick(written))));
}
process.stdout.write(lines.map((line) => JSON.stringify(line) + "\n").join(""));
