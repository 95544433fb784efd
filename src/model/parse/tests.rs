//! What a text becomes as a model, and that no text can crash the parser. The individual rules are
//! in `tests/models/`.

use super::*;
use crate::model::diagnostic::render;
use crate::model::{ColumnId, DefaultValue, FieldKind, OnDelete, Scalar, Value};

const MARKET: &str = r#"
"Sells things."
type Merchant @entity @cacheControl(maxAge: 0, sharedMaxAge: 60) {
  id: ID! @id @default(fn: UUID_V7)
  name: String! @unique
  city: String! @index
  products: [Product!]! @derivedFrom(field: "merchant")
}
type Product @entity(orderBy: [{name: ASC}]) @unique(fields: ["merchant", "sku"]) {
  id: ID! @id @default(fn: UUID_V7)
  sku: String!
  name: String!
  price: Decimal! @column(precision: 12, scale: 2)
  status: Status! @default(value: DRAFT)
  merchant: Merchant! @relation(onDelete: CASCADE)
  reviews: [Review!]! @derivedFrom(field: "product")
}
type Review @entity {
  id: ID! @id @default(fn: AUTOINCREMENT)
  product: Product! @cacheControl(scope: PRIVATE)
  parent: Review @relation(column: "parent_review", onDelete: SET_NULL)
  body: String
  writtenAt: DateTime! @default(fn: NOW) @readonly
  token: UUID! @default(fn: UUID_V7) @hidden
}
enum Status { DRAFT "For sale." ACTIVE }
"#;

fn sound(text: &str) -> Model {
    match parse("schema.graphql", text) {
        Ok(parsed) => parsed.model,
        Err(mistakes) => {
            let shown = render(&mistakes, &|_| Some(text.to_owned()), false);
            panic!("{shown}")
        }
    }
}

/// One line for each thing in the model.
fn outline(model: &Model) -> String {
    let mut lines = Vec::new();
    for entity in &model.entities {
        let names = |ids: &[ColumnId]| {
            ids.iter().map(|id| entity.column(*id).name.as_str()).collect::<Vec<_>>().join(" ")
        };
        lines.push(format!(
            "{} {} {} table {}",
            entity.name, entity.singular, entity.plural, entity.table
        ));
        for column in &entity.columns {
            let mut line = format!("  column {} {} {:?}", column.name, column.field, column.scalar);
            for (said, is) in [
                (" null", column.nullable),
                (" readonly", column.readonly),
                (" hidden", column.hidden),
                (" part", column.part),
            ] {
                line.push_str(if is { said } else { "" });
            }
            if let Some(default) = &column.default {
                line.push_str(&format!(" default {default:?}"));
            }
            if let Some(reference) = &column.references {
                line.push_str(&format!(
                    " -> {} {:?}",
                    model.entity(reference.target).name,
                    reference.on_delete
                ));
            }
            lines.push(line);
        }
        for field in &entity.fields {
            let kind = match field.kind {
                FieldKind::Scalar(column) => entity.column(column).name.clone(),
                FieldKind::ToOne { column, target } => {
                    format!("one {} by {}", model.entity(target).name, entity.column(column).name)
                }
                FieldKind::ToMany { target, column } => {
                    format!(
                        "many {} by {}",
                        model.entity(target).name,
                        model.entity(target).column(column).name
                    )
                }
            };
            lines.push(format!("  field {}: {kind}", field.name));
        }
        lines.extend(
            entity
                .uniques
                .iter()
                .map(|unique| format!("  {} {}", unique.lookup, names(&unique.columns))),
        );
        lines.extend(
            entity.indexes.iter().map(|index| format!("  index {}", names(&index.columns))),
        );
        lines.extend(
            entity
                .order_by
                .iter()
                .map(|(id, order)| format!("  order {} {order:?}", entity.column(*id).name)),
        );
    }
    lines.join("\n")
}

#[test]
fn a_model_has_columns_fields_relations_and_indexes() {
    insta::assert_snapshot!(outline(&sound(MARKET)), @r#"
    Merchant merchant merchants table merchants
      column id id IdUuid readonly default UuidV7
      column name name String part
      column city city String part
      field id: id
      field name: name
      field city: city
      field products: many Product by merchant_id
      merchantByName name
      index city
    Product product products table products
      column id id IdUuid readonly default UuidV7
      column sku sku String part
      column name name String
      column price price Decimal { precision: 12, scale: 2 }
      column status status Enum(EnumId(0)) default Value(Text("DRAFT"))
      column merchant_id merchantId IdUuid part -> Merchant Cascade
      field id: id
      field sku: sku
      field name: name
      field price: price
      field status: status
      field merchantId: merchant_id
      field merchant: one Merchant by merchant_id
      field reviews: many Review by product_id
      productByMerchantAndSku merchant_id sku
      order name Order { descending: false, nulls_first: true }
    Review review reviews table reviews
      column id id IdInt readonly default Autoincrement
      column product_id productId IdUuid part -> Product Restrict
      column parent_review parentId IdInt null part -> Review SetNull
      column body body String null
      column written_at writtenAt DateTime readonly default Now
      column token token Uuid hidden default UuidV7
      field id: id
      field productId: product_id
      field product: one Product by product_id
      field parentId: parent_review
      field parent: one Review by parent_review
      field body: body
      field writtenAt: written_at
      field token: token
      index product_id
      index parent_review
    "#);
}

#[test]
fn descriptions_and_hints_are_kept() {
    let model = sound(MARKET);
    let merchant = model.entity_by_name("Merchant").unwrap();
    assert_eq!(merchant.description.as_deref(), Some("Sells things."));
    assert_eq!((merchant.cache.max_age, merchant.cache.shared_max_age), (Some(0), Some(60)));
    assert_eq!(model.enums[0].values[1], ("ACTIVE".to_owned(), Some("For sale.".to_owned())));
    // A private relation's foreign key is as private as the referenced row.
    let review = model.entity_by_name("Review").unwrap();
    assert_eq!(review.field("productId").unwrap().cache.private, Some(true));
    assert_eq!(review.field("product").unwrap().cache.private, Some(true));
}

#[test]
fn foreign_keys_have_the_type_of_what_they_point_to() {
    let model = sound(
        r#"
        type A @entity { id: ID! @id @default(fn: AUTOINCREMENT) b: B @relation(onDelete: SET_NULL) c: C next: A }
        type B @entity { code: ID! @id a: A! c: C! @default(value: "0190D0A1-7F3C-7000-8000-000000000001") }
        type C @entity { id: ID! @id @default(fn: UUID_V7) b: B @column(name: "the_b") other: ID }
        "#,
    );
    let scalar = |entity: &str, field: &str| {
        let entity = model.entity_by_name(entity).unwrap();
        entity.column(entity.column_by_field(field).unwrap()).scalar
    };
    assert_eq!(scalar("A", "bId"), Scalar::IdText);
    assert_eq!(scalar("A", "cId"), Scalar::IdUuid);
    assert_eq!(scalar("A", "nextId"), Scalar::IdInt);
    assert_eq!(scalar("B", "aId"), Scalar::IdInt);
    assert_eq!(scalar("C", "bId"), Scalar::IdText);
    assert_eq!(scalar("C", "other"), Scalar::IdText);
    let b = model.entity_by_name("B").unwrap();
    assert_eq!(b.column(b.key).field, "code");
    let default = DefaultValue::Value(Value::text("0190d0a1-7f3c-7000-8000-000000000001"));
    assert_eq!(b.column(b.column_by_field("cId").unwrap()).default, Some(default));
    let a = model.entity_by_name("A").unwrap();
    assert_eq!(a.columns[1].references.as_ref().unwrap().on_delete, OnDelete::SetNull);
    assert_eq!(model.entity_by_name("C").unwrap().columns[1].name, "the_b");
}

#[test]
fn the_fingerprint_depends_on_the_meaning_alone() {
    let fingerprint = |text: &str| sound(text).fingerprint;
    let market = fingerprint(MARKET);
    let same = MARKET
        .replace("precision: 12, scale: 2", "scale: 2  precision: 12 # money\n")
        .replace("\"Sells things.\"\n", "")
        .replace("\"For sale.\" ", "")
        .replace('\n', "\r\n");
    assert_eq!(fingerprint(&same), market);
    // No answer shows the order of types and fields.
    let (merchant, rest) = MARKET.split_at(MARKET.find("type Product").unwrap());
    assert_eq!(fingerprint(&format!("{rest}\n{merchant}")), market);
    assert_eq!(
        fingerprint(
            &MARKET
                .replace("  sku: String!\n  name: String!\n", "  name: String!\n  sku: String!\n")
        ),
        market
    );
    for (from, to) in [
        ("scale: 2", "scale: 3"),
        ("name: ASC", "name: DESC"),
        ("name: ASC", "sku: ASC"),
        ("city: String!", "city: String"),
        ("value: DRAFT", "value: ACTIVE"),
        ("DRAFT \"For sale.\"", "DRAFT GONE"),
        ("@entity(orderBy", "@entity(maxPageSize: 10, orderBy"),
        ("@entity(orderBy", "@entity(table: \"goods\", orderBy"),
        ("onDelete: CASCADE", "onDelete: RESTRICT"),
        ("body: String", "body: JSON"),
    ] {
        assert!(MARKET.contains(from));
        assert_ne!(fingerprint(&MARKET.replace(from, to)), market, "{from} to {to}");
    }
}

#[test]
fn every_line_ending_gives_the_same_locations() {
    let text = "type A @entity {\n  id: ID! @id\n  # a comment\n  b: Strin\n  c: String\n}\n";
    let places = |text: &str| {
        let mistakes = parse("f", text).unwrap_err();
        mistakes.iter().map(|mistake| text[mistake.span.clone()].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(places(text), ["Strin"]);
    assert_eq!(places(&text.replace('\n', "\r\n")), ["Strin"]);
    assert_eq!(places(&text.replace('\n', "\r")), ["Strin"]);
    assert_eq!(places(&format!("\u{feff}{text}")), ["Strin"]);
    assert_eq!(
        places(&text.replace("a comment", "naïve ☃ \u{1F600}").replace("# ", "\"☃\" #")),
        ["Strin"]
    );
}

#[test]
fn the_directives_own_definitions_are_passed_over() {
    let vocabulary = r#"
        scalar Literal scalar Decimal scalar DateTime
        enum Fn { UUID_V7 AUTOINCREMENT NOW }
        enum OnDelete { RESTRICT CASCADE SET_NULL }
        enum CacheControlScope { PUBLIC PRIVATE }
        enum Operation { CREATE READ UPDATE DELETE }
        directive @entity(table: String, maxPageSize: Int = 100) on OBJECT
        directive @unique(fields: [String!]) repeatable on OBJECT | FIELD_DEFINITION
        directive @allow(to: [Operation!], role: String, where: Literal) repeatable on OBJECT | FIELD_DEFINITION
    "#;
    let model = sound(&format!("{vocabulary}{MARKET}"));
    assert_eq!(model.fingerprint, sound(MARKET).fingerprint);
    // An enum with such a name but other values is the user's own.
    let model =
        sound("enum Operation { PLUS MINUS } type A @entity { id: ID! @id op: Operation! }");
    assert_eq!(model.enums[0].name, "Operation");
}

#[test]
fn all_errors_are_found_in_one_run() {
    let text = r#"
type Shop @entty {
  id: ID! @id
  name: Strng! @indx
  owner: Person! @relation(onDelete: SET_NULL)
  items: [Item!]!
}
type Person @entity(orderBy: [{nam: ASC}], maxPageSize: 0) {
  name: String! @default(value: 3)
}
"#;
    let mistakes = parse("schema.graphql", text).unwrap_err();
    let shown = render(&mistakes, &|_| Some(text.to_owned()), false);
    insta::assert_snapshot!(shown, @r"
    error: unknown directive `@entty`
      ┌─ schema.graphql:2:11
      │
    2 │ type Shop @entty {
      │           ^^^^^^
      │
      = help: did you mean `@entity`?

    error: unknown type `Strng`
      ┌─ schema.graphql:4:9
      │
    4 │   name: Strng! @indx
      │         ^^^^^
      │
      = help: did you mean `String`?

    error: unknown directive `@indx`
      ┌─ schema.graphql:4:16
      │
    4 │   name: Strng! @indx
      │                ^^^^^
      │
      = help: did you mean `@index`?

    error: `owner` is not null, so it cannot become NULL on delete
      ┌─ schema.graphql:5:38
      │
    5 │   owner: Person! @relation(onDelete: SET_NULL)
      │                                      ^^^^^^^^
      │
      = help: take the `!` off its type, or write `RESTRICT` or `CASCADE`

    error: unknown type `Item`
      ┌─ schema.graphql:6:11
      │
    6 │   items: [Item!]!
      │           ^^^^
      │
      = help: declare `type Item @entity { … }`, or use a scalar such as `String`

    error: `Person` has no field with `@id`
      ┌─ schema.graphql:8:6
      │
    8 │ type Person @entity(orderBy: [{nam: ASC}], maxPageSize: 0) {
      │      ^^^^^^
      │
      = help: write `id: ID! @id @default(fn: UUID_V7)`, or `AUTOINCREMENT`, or no default for keys that clients give

    error: `Person` has no field `nam`
      ┌─ schema.graphql:8:32
      │
    8 │ type Person @entity(orderBy: [{nam: ASC}], maxPageSize: 0) {
      │                                ^^^
      │
      = help: did you mean `name`?

    error: `maxPageSize` is 1 or more, found `0`
      ┌─ schema.graphql:8:57
      │
    8 │ type Person @entity(orderBy: [{nam: ASC}], maxPageSize: 0) {
      │                                                         ^
      │
      = help: leave it out for 100

    error: the default of `name` does not fit: expected a String, found 3
      ┌─ schema.graphql:9:33
      │
    9 │   name: String! @default(value: 3)
      │                                 ^

    9 errors
    ");
}

#[test]
fn deep_nesting_is_refused_before_the_parser_runs_out_of_stack() {
    for deep in ["[", "{", "(", "@default(value: ["] {
        let text = format!("type A @entity {{ id: ID! @id a: {}", deep.repeat(100_000));
        assert!(parse("f", &text).is_err());
    }
}

mod random {
    use proptest::prelude::*;

    use super::{MARKET, parse, render};

    /// Pieces of models, so that mutations get past the parser.
    const PIECES: [&str; 41] = [
        "type ",
        "enum ",
        "@entity",
        "@id",
        "@unique",
        "@index",
        "@derivedFrom",
        "@relation",
        "@default",
        "@column",
        "@cacheControl",
        "@hidden",
        "@readonly",
        "@updatedAt",
        "(fields: [\"name\"])",
        "(field: \"merchant\")",
        "(value: 1)",
        "(fn: NOW)",
        "(fn: UUID_V7)",
        "(orderBy: [{name: ASC}])",
        "(precision: 3, scale: 9)",
        ": ID!",
        ": [Product!]!",
        ": Merchant",
        ": Decimal",
        ": JSON",
        ": Status!",
        "{",
        "}",
        "\"",
        "\"\"\"",
        "#",
        "\r",
        "\n",
        "☃",
        "\u{feff}",
        "null",
        "Product",
        "Merchant",
        "extend ",
        "\\u",
    ];

    fn check(text: &str) {
        if let Err(mistakes) = parse("f", text) {
            assert!(mistakes.iter().any(crate::model::Diagnostic::is_error), "no reason given");
            for mistake in &mistakes {
                assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?} has no place");
            }
            render(&mistakes, &|_| Some(text.to_owned()), true);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_string_makes_the_parser_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, 0..PIECES.len()), 1..6)
        ) {
            let mut text = MARKET.to_owned();
            for (place, removed, piece) in edits {
                let mut start = place.index(text.len() + 1);
                while !text.is_char_boundary(start) { start -= 1; }
                let mut end = (start + removed).min(text.len());
                while !text.is_char_boundary(end) { end += 1; }
                text.replace_range(start..end, PIECES[piece]);
            }
            check(&text);
        }

        #[test]
        fn no_sequence_of_tokens_makes_the_parser_panic(
            words in prop::collection::vec(0..PIECES.len() + 1, 0..40)
        ) {
            let mut text = MARKET.to_owned();
            for word in words {
                text.push_str(PIECES.get(word).copied().unwrap_or(" x"));
            }
            check(&text);
        }

        #[test]
        fn any_string_gives_a_model_or_errors(text in "\\PC{0,80}") {
            check(&text);
        }
    }
}

/// Each file of `tests/models/` begins with its verdict: `# ok`, or a line such as
/// `# error 7:12 what; what would be right` for each diagnostic.
#[test]
fn every_rule_has_its_verdict() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 90, "files are missing");
    let mut wrong = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut verdict, diagnostics) = match parse("f", &text) {
            Ok(parsed) => (vec!["# ok".to_owned()], parsed.warnings),
            Err(mistakes) => (Vec::new(), mistakes),
        };
        verdict.extend(diagnostics.iter().map(|diagnostic| {
            let (line, column) = diagnostic.line_and_column(&text);
            let severity = if diagnostic.is_error() { "error" } else { "warning" };
            let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            format!("# {severity} {line}:{column} {}{help}", diagnostic.message)
        }));
        let is_verdict = |line: &&str| {
            ["# ok", "# error ", "# warning "].iter().any(|start| line.starts_with(start))
        };
        if !text.lines().take_while(is_verdict).eq(verdict.iter().map(String::as_str)) {
            wrong.push_str(&format!("{}\n{}\n\n", path.display(), verdict.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "other verdicts than these files say:\n\n{wrong}");
}
