/** What clients need to know of an API beyond its types: which types are rows, and which fields are lists of them. */
import { type GraphQLSchema, getNamedType, isObjectType } from "graphql";

export interface SchemaShape {
  /** Types with an `id` and an `etag`. */
  readonly entities: string[];
  /** Their lists, by the type that has them. */
  readonly connections: Record<string, string[]>;
  /** Types without a key of their own, which Graphcache must know. */
  readonly keyless: string[];
}

/** Reads a schema, such as graphql-js' `buildSchema` creates from the SDL at `/schema.graphql`. */
export function shapeOf(schema: GraphQLSchema): SchemaShape {
  const shape: SchemaShape = { entities: [], connections: {}, keyless: [] };
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  // In the same order, whether they come from SDL or from introspection.
  const types = Object.values(schema.getTypeMap()).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const type of types) {
    if (!isObjectType(type) || type.name.startsWith("__")) continue;
    const fields = type.getFields();
    if (fields["id"] && fields["etag"]) shape.entities.push(type.name);
    else if (!roots.includes(type)) shape.keyless.push(type.name);
    const lists = Object.values(fields).filter((field) => {
      const target = getNamedType(field.type);
      return isObjectType(target) && "pageInfo" in target.getFields();
    });
    if (lists.length > 0) shape.connections[type.name] = lists.map((field) => field.name);
  }
  return shape;
}

/** The shape as a TypeScript (and JavaScript) module. */
export function shapeModule(shape: SchemaShape): string {
  const constant = (name: keyof SchemaShape, comment: string) =>
    `/** ${comment} */\nexport const ${name} = ${JSON.stringify(shape[name], null, 2)};\n`;
  return [
    "// Written by `freshql-client schema`. Run it again when the model changes.\n",
    constant("entities", "Types with an id and an etag."),
    constant("connections", "Lists, by the type that has them."),
    constant("keyless", "Types without a key of their own."),
  ].join("\n");
}
