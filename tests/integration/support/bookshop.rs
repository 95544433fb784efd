//! A model that differs from the demo's, for tests of the engine without HTTP: every kind of key
//! and scalar; nullable, self-referencing and cyclic relations; two relations between the same
//! entities; an entity that joins two others.

/// The model.
pub(crate) const MODEL: &str = r#"
enum Kind { NOVEL POEM ESSAY }

type Author @entity(orderBy: [{ name: DESC }, { born: ASC_NULLS_LAST }], maxPageSize: 7) {
  id: ID! @id @default(fn: UUID_V7)
  name: String!
  nick: String @unique
  born: Date
  rank: Int! @default(value: 3)
  motto: String @default(value: "none")
  joined: DateTime! @default(fn: NOW) @readonly
  secret: String @hidden
  mentor: Author @relation(onDelete: SET_NULL)
  favourite: Book @relation(onDelete: SET_NULL)
  pupils: [Author!]! @derivedFrom(field: "mentor")
  written: [Book!]! @derivedFrom(field: "author")
  edited: [Book!]! @derivedFrom(field: "editor")
}

type Book @entity @index(fields: ["price", "title"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  title: String!
  subtitle: String
  price: Decimal! @column(precision: 18, scale: 4)
  rebate: Decimal @column(precision: 9, scale: 0)
  pages: Int
  views: BigInt! @default(value: 0)
  sold: BigInt
  weight: Float
  score: Float!
  inPrint: Boolean! @default(value: true)
  lent: Boolean
  kind: Kind! @default(value: NOVEL)
  mood: Kind
  printed: DateTime
  made: DateTime!
  day: Date!
  serial: UUID
  extra: JSON
  author: Author! @relation(onDelete: CASCADE)
  editor: Author @relation(onDelete: RESTRICT)
  admirers: [Author!]! @derivedFrom(field: "favourite")
  labellings: [Labelling!]! @derivedFrom(field: "book")
}

type Label @entity(orderBy: [{ caption: ASC_NULLS_LAST }], requireEtag: true) {
  slug: ID! @id
  caption: String
  weight: Float @default(value: 1.5)
  labellings: [Labelling!]! @derivedFrom(field: "label")
}

type Labelling @entity @unique(fields: ["book", "label"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  note: String
  book: Book! @relation(onDelete: CASCADE)
  label: Label! @relation(onDelete: RESTRICT)
}
"#;
