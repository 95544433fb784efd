/**
 * The objects in an answer whose type is known, with the fields that the document selects from them, by their names in
 * the schema, whatever aliases and fragments it uses. A cache decides by its keys which of them are rows. Used by both
 * etag guards.
 */
import type { DocumentNode, FragmentDefinitionNode, SelectionSetNode } from "graphql";

/** An object in an answer. */
export interface Entity {
  readonly typename: string;
  /** The object itself. */
  readonly object: object;
  /** Fields without arguments, by name. An object or list with its own selection is undefined here. */
  readonly fields: ReadonlyMap<string, unknown>;
  readonly etag: string | undefined;
}

/** All objects in the result of a document's only operation. */
export function entitiesIn(document: DocumentNode, data: unknown): Entity[] {
  const fragments = new Map<string, FragmentDefinitionNode>();
  let operation: SelectionSetNode | undefined;
  for (const definition of document.definitions) {
    if (definition.kind === "FragmentDefinition") fragments.set(definition.name.value, definition);
    else if (definition.kind === "OperationDefinition") operation ??= definition.selectionSet;
  }
  const found: Entity[] = [];
  if (operation) visit(data, [operation], fragments, found);
  return found;
}

/** A field with arguments is left out, since its name does not tell them. */
interface Selected {
  readonly name: string;
  readonly hasArguments: boolean;
  readonly selections: SelectionSetNode[];
}

function visit(value: unknown, sets: SelectionSetNode[], fragments: ReadonlyMap<string, FragmentDefinitionNode>, found: Entity[]): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, sets, fragments, found);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const object = value as Record<string, unknown>;
  const selected = new Map<string, Selected>();
  // `__typename` may have an alias; the one that clients add has none.
  const typename = typeof object["__typename"] === "string" ? object["__typename"] : undefined;
  for (const set of sets) collect(set, typename, fragments, selected);

  const fields = new Map<string, unknown>();
  for (const [key, { name, hasArguments, selections }] of selected) {
    const child = object[key];
    if (child === undefined) continue;
    const isLeaf = selections.length === 0;
    if (!hasArguments) fields.set(name, isLeaf ? child : undefined);
    if (!isLeaf) visit(child, selections, fragments, found);
  }
  if (typename !== undefined) {
    const etag = fields.get("etag");
    found.push({ typename, object, fields, etag: typeof etag === "string" ? etag : undefined });
  }
}

function collect(
  set: SelectionSetNode,
  typename: string | undefined,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  into: Map<string, Selected>,
): void {
  for (const selection of set.selections) {
    if (selection.kind === "Field") {
      const key = selection.alias?.value ?? selection.name.value;
      const known = into.get(key) ?? {
        name: selection.name.value,
        hasArguments: (selection.arguments?.length ?? 0) > 0,
        selections: [],
      };
      if (selection.selectionSet) known.selections.push(selection.selectionSet);
      into.set(key, known);
      continue;
    }
    const fragment = selection.kind === "FragmentSpread" ? fragments.get(selection.name.value) : selection;
    const condition = fragment?.typeCondition?.name.value;
    // Types are entities or belong to their connections; the only possible interface is Relay's `Node`.
    if (fragment && (condition === undefined || typename === undefined || condition === typename || condition === "Node")) {
      collect(fragment.selectionSet, typename, fragments, into);
    }
  }
}
