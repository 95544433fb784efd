/**
 * The etag guard's decisions. Caches merge the answers about a row field by field. If a list brings a row's new `etag`
 * while the page still shows a body that it read earlier, the token no longer stands for what is shown, and the next
 * update with it overwrites somebody else's text. The guard enforces one rule: **all fields of a row in the cache belong
 * to the version that its `etag` names.** An answer with another version first makes the cache forget the row's other
 * fields; queries that show them are sent again.
 *
 * `etag`s have no order, and an answer may be old: from a CDN, or overtaken by another. So if this client has already
 * seen an answer's `etag` replaced, the guard asks the server itself, whose answer counts. Therefore, no two queries can
 * make each other forget for ever.
 */
import type { Entity } from "./entities.js";

/** What an answer means for a row in the cache. */
export type Verdict =
  /** Nothing: it has the version that is there, or none that can be determined. */
  | "keep"
  /** The row's other fields have another version. */
  | "forget"
  /** It may be older than what is there: ask the server itself. */
  | "doubt";

const MOST_REPLACED = 10_000;

/** The etags that one cache has seen replaced. */
export class Replaced {
  // In insertion order, so the oldest comes first.
  readonly #tokens = new Set<string>();

  has(key: string, etag: string): boolean {
    return this.#tokens.has(`${key} ${etag}`);
  }

  add(key: string, etag: string): void {
    this.#tokens.add(`${key} ${etag}`);
    if (this.#tokens.size > MOST_REPLACED) this.#tokens.delete(this.#tokens.values().next().value!);
  }

  /**
   * `held`: the row's etag in the cache. `changes`: whether the answer changes the value of one of the row's fields there.
   * `isFinal`: whether the answer comes from the server itself, or no better one is available.
   */
  verdict(key: string, etag: string | undefined, held: string | undefined, changes: () => boolean, isFinal: boolean): Verdict {
    if (etag !== undefined) {
      if (etag === held) return "keep";
      return this.has(key, etag) && !isFinal ? "doubt" : "forget";
    }
    // Without an etag, only a different value shows that the version differs.
    if (held === undefined || !changes()) return "keep";
    return this.has(key, held) && !isFinal ? "doubt" : "forget";
  }
}

/** What an answer says about one row, in all places. */
export interface Sighting {
  readonly typename: string;
  readonly objects: object[];
  readonly fields: Map<string, unknown>;
  etag: string | undefined;
}

/** The rows of an answer, by their keys in the cache. */
export function sightings(entities: readonly Entity[], keyOf: (entity: Entity) => string | undefined): Map<string, Sighting> {
  const byKey = new Map<string, Sighting>();
  for (const entity of entities) {
    const key = keyOf(entity);
    if (key === undefined) continue;
    const known = byKey.get(key);
    if (!known) {
      byKey.set(key, { typename: entity.typename, objects: [entity.object], fields: new Map(entity.fields), etag: entity.etag });
      continue;
    }
    known.objects.push(entity.object);
    for (const [name, value] of entity.fields) known.fields.set(name, value);
    known.etag ??= entity.etag;
  }
  return byKey;
}

/** Lists of other rows do not belong to a row's version. */
export function isConnection(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { __typename, pageInfo, edges, nodes } = value as Record<string, unknown>;
  return (typeof __typename === "string" && __typename.endsWith("Connection")) || Boolean(pageInfo ?? edges ?? nodes);
}

/** Whether two JSON values are equal. Anything else, such as a Date that the cache created, counts as equal. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!isJson(a) || !isJson(b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(x);
  return keys.length === Object.keys(y).length && keys.every((key) => key in y && isSame(x[key], y[key]));
}

function isJson(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value !== undefined && typeof value !== "bigint";
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Array.isArray(value);
}
