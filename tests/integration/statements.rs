//! The SQL for each shape of query, over the demo's tables, and SQLite's plans: the most common
//! lists are read along an index, without sorting.

use std::path::Path;

use freshql::model::{ColumnId, Entity, EntityId, Model, Order, parse};
use freshql::store::select::{Comparison, Filter, List, Quantifier, TextMatch, Visible};
use freshql::store::sqlite::migrate::{Migrations, up};
use freshql::store::sqlite::{self, dialect};
use freshql::store::{Shape, Statement};
use rusqlite::Connection;
use std::sync::Arc;
use tempfile::TempDir;

/// The migrated demo.
struct Demo {
    model: Model,
    database: Connection,
    _directory: TempDir,
}

const UP: Order = Order { descending: false, nulls_first: true };
const DOWN: Order = Order { descending: true, nulls_first: false };
const UP_NULLS_LAST: Order = Order { descending: false, nulls_first: false };
const DOWN_NULLS_FIRST: Order = Order { descending: true, nulls_first: true };

impl Demo {
    fn new() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(top.join("schema.graphql")).unwrap();
        let model = parse::parse("schema.graphql", &text).unwrap().model;
        let directory = tempfile::tempdir().unwrap();
        let mut database = sqlite::open(&directory.path().join("demo.db")).unwrap();
        up(&mut database, &Migrations::read(&top.join("migrations")).unwrap()).unwrap();
        Self { model, database, _directory: directory }
    }

    fn entity(&self, name: &str) -> &Entity {
        self.model.entity_by_name(name).unwrap()
    }

    fn column(&self, entity: &str, field: &str) -> ColumnId {
        self.entity(entity).column_by_field(field).unwrap()
    }

    /// A list of all rows ordered by these columns, which must include the key.
    fn list(&self, entity: &str, order: &[(&str, Order)]) -> List {
        let order =
            order.iter().map(|(field, order)| (self.column(entity, field), *order)).collect();
        let entity: EntityId = self.entity(entity).id;
        List {
            from: Visible::everything(entity),
            cut: None,
            filter: None,
            order,
            after: None,
            before: None,
            backward: false,
            limit: 9,
        }
    }

    fn page(&self, list: &List) -> String {
        self.query(&Shape::Page { list: Arc::new(list.clone()), columns: [].into() })
    }

    fn row(&self, entity: &str, keys: &[ColumnId], columns: &[ColumnId]) -> String {
        self.query(&Shape::Row {
            from: Visible::everything(self.entity(entity).id),
            keys: keys.into(),
            columns: columns.into(),
        })
    }

    fn query(&self, shape: &Shape) -> String {
        self.shown(&dialect::query(&self.model, shape))
    }

    fn batch(&self, shape: &Shape) -> String {
        self.shown(&dialect::batch(&self.model, shape))
    }

    /// The text, the sources of its parameters, and SQLite's plan.
    fn shown(&self, statement: &Statement) -> String {
        let mut explain =
            self.database.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql)).unwrap();
        let nulls =
            rusqlite::params_from_iter(statement.parameters.iter().map(|_| rusqlite::types::Null));
        let steps = explain.query_map(nulls, |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(|step| format!("-- {}", step.unwrap())).collect();
        format!("{}\n{:?}\n{}", statement.sql, slots(statement), steps.join("\n"))
    }

    /// Only the condition.
    fn condition(&self, entity: &str, filter: Filter) -> String {
        let list = List { filter: Some(filter), ..self.list(entity, &[("id", UP)]) };
        let statement = dialect::query(&self.model, &Shape::Count(list.into()));
        // Whatever it is, SQLite must understand it.
        self.shown(&statement);
        let (_, condition) = statement.sql.split_once(" WHERE ").unwrap();
        condition.to_owned()
    }
}

/// The slots of a statement's parameters, by number.
fn slots(statement: &Statement) -> Vec<u16> {
    statement.parameters.iter().map(|parameter| parameter.slot).collect()
}

#[test]
fn a_row_is_looked_up_by_its_key_or_a_unique_index() {
    let demo = Demo::new();
    let product = demo.entity("Product");
    let by_key = demo.row("Product", &[product.key], &[demo.column("Product", "name")]);
    insta::assert_snapshot!(by_key, @r#"
    SELECT "t"."id", "t"."_version", "t"."name" FROM "products" AS "t" WHERE "t"."id" = ?1
    [0]
    -- SEARCH t USING INDEX sqlite_autoindex_products_1 (id=?)
    "#);
    let by_sku = demo.row("Product", &product.uniques[0].columns, &[]);
    insta::assert_snapshot!(by_sku, @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 AND "t"."sku" = ?2
    [0, 1]
    -- SEARCH t USING INDEX products_merchant_id_sku_key (merchant_id=? AND sku=?)
    "#);
}

#[test]
fn a_list_is_read_along_an_index() {
    let demo = Demo::new();
    let by_name = |entity| demo.list(entity, &[("name", UP), ("id", UP)]);
    insta::assert_snapshot!(demo.page(&by_name("Merchant")), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" ORDER BY "t"."name" ASC, "t"."id" ASC LIMIT ?1
    [9]
    -- SCAN t USING INDEX merchants_name_key
    "#);

    let city = Filter::Compare {
        column: demo.column("Merchant", "city"),
        comparison: Comparison::Eq,
        slot: 1,
        case_insensitive: false,
    };
    let of_city = List { filter: Some(city), ..by_name("Merchant") };
    insta::assert_snapshot!(demo.page(&of_city), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."city" = ?1 ORDER BY "t"."name" ASC, "t"."id" ASC LIMIT ?2
    [1, 9]
    -- SEARCH t USING INDEX merchants_city_name_idx (city=?)
    "#);
    insta::assert_snapshot!(demo.query(&Shape::Count(of_city.into())), @r#"
    SELECT COUNT(*) FROM "merchants" AS "t" WHERE "t"."city" = ?1
    [1]
    -- SEARCH t USING COVERING INDEX merchants_city_name_idx (city=?)
    "#);

    let of_merchant =
        List { cut: Some(demo.column("Product", "merchantId")), ..by_name("Product") };
    insta::assert_snapshot!(demo.page(&of_merchant), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 ORDER BY "t"."name" ASC, "t"."id" ASC LIMIT ?2
    [0, 9]
    -- SEARCH t USING INDEX products_merchant_id_name_idx (merchant_id=?)
    "#);

    let newest = demo.list("Review", &[("createdAt", DOWN), ("id", DOWN)]);
    let of_product = List { cut: Some(demo.column("Review", "productId")), ..newest };
    insta::assert_snapshot!(demo.page(&of_product), @r#"
    SELECT "t"."id", "t"."_version" FROM "reviews" AS "t" WHERE "t"."product_id" = ?1 ORDER BY "t"."created_at" DESC, "t"."id" DESC LIMIT ?2
    [0, 9]
    -- SEARCH t USING INDEX reviews_product_id_created_at_idx (product_id=?)
    "#);

    let status = Filter::Compare {
        column: demo.column("Product", "status"),
        comparison: Comparison::Eq,
        slot: 1,
        case_insensitive: false,
    };
    let cheapest =
        List { filter: Some(status), ..demo.list("Product", &[("price", UP), ("id", UP)]) };
    insta::assert_snapshot!(demo.page(&cheapest), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."status" = ?1 ORDER BY "t"."price" ASC, "t"."id" ASC LIMIT ?2
    [1, 9]
    -- SEARCH t USING INDEX products_status_price_idx (status=?)
    "#);
}

#[test]
fn a_page_after_a_cursor_is_found_by_search_and_not_by_offset() {
    let demo = Demo::new();
    let by_name = List {
        cut: Some(demo.column("Product", "merchantId")),
        after: Some(vec![Some(1), Some(2)]),
        ..demo.list("Product", &[("name", UP), ("id", UP)])
    };
    insta::assert_snapshot!(demo.page(&by_name), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 AND ("t"."name", "t"."id") > (?2, ?3) ORDER BY "t"."name" ASC, "t"."id" ASC LIMIT ?4
    [0, 1, 2, 9]
    -- SEARCH t USING INDEX products_merchant_id_name_idx (merchant_id=? AND (name,id)>(?,?))
    "#);
    let backwards =
        List { after: None, before: by_name.after.clone(), backward: true, ..by_name.clone() };
    insta::assert_snapshot!(demo.page(&backwards), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 AND ("t"."name", "t"."id") < (?2, ?3) ORDER BY "t"."name" DESC, "t"."id" DESC LIMIT ?4
    [0, 1, 2, 9]
    -- SEARCH t USING INDEX products_merchant_id_name_idx (merchant_id=? AND (name,id)<(?,?))
    "#);
    insta::assert_snapshot!(demo.query(&Shape::AnyUpToAfter(by_name.clone().into())), @r#"
    SELECT EXISTS(SELECT 1 FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 AND ("t"."name", "t"."id") <= (?2, ?3))
    [0, 1, 2]
    -- SCAN CONSTANT ROW
    -- SCALAR SUBQUERY 1
    -- SEARCH t USING COVERING INDEX products_merchant_id_name_idx (merchant_id=? AND (name,id)<(?,?))
    "#);
    insta::assert_snapshot!(demo.query(&Shape::AnyFromBefore(backwards.into())), @r#"
    SELECT EXISTS(SELECT 1 FROM "products" AS "t" WHERE "t"."merchant_id" = ?1 AND ("t"."name", "t"."id") >= (?2, ?3))
    [0, 1, 2]
    -- SCAN CONSTANT ROW
    -- SCALAR SUBQUERY 1
    -- SEARCH t USING COVERING INDEX products_merchant_id_name_idx (merchant_id=? AND (name,id)>(?,?))
    "#);
    let newest = List {
        cut: Some(demo.column("Review", "productId")),
        after: Some(vec![Some(1), Some(2)]),
        ..demo.list("Review", &[("createdAt", DOWN), ("id", DOWN)])
    };
    insta::assert_snapshot!(demo.page(&newest), @r#"
    SELECT "t"."id", "t"."_version" FROM "reviews" AS "t" WHERE "t"."product_id" = ?1 AND ("t"."created_at", "t"."id") < (?2, ?3) ORDER BY "t"."created_at" DESC, "t"."id" DESC LIMIT ?4
    [0, 1, 2, 9]
    -- SEARCH t USING INDEX reviews_product_id_created_at_idx (product_id=? AND (created_at,id)<(?,?))
    "#);
    let by_key = List { after: Some(vec![Some(1)]), ..demo.list("Product", &[("id", UP)]) };
    insta::assert_snapshot!(demo.page(&by_key), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."id" > ?1 ORDER BY "t"."id" ASC LIMIT ?2
    [1, 9]
    -- SEARCH t USING INDEX sqlite_autoindex_products_1 (id>?)
    "#);
}

#[test]
fn a_page_ordered_by_nullable_columns_loses_no_row() {
    let demo = Demo::new();
    let after = |value: Option<u16>, order: Order| List {
        after: Some(vec![value, Some(2)]),
        ..demo.list("Merchant", &[("country", order), ("id", UP)])
    };
    insta::assert_snapshot!(demo.page(&after(Some(1), UP)), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."country" > ?1 OR ("t"."country" = ?1 AND "t"."id" > ?2) ORDER BY "t"."country" ASC NULLS FIRST, "t"."id" ASC LIMIT ?3
    [1, 2, 9]
    -- SCAN t
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    insta::assert_snapshot!(demo.page(&after(None, UP)), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."country" IS NOT NULL OR ("t"."country" IS NULL AND "t"."id" > ?1) ORDER BY "t"."country" ASC NULLS FIRST, "t"."id" ASC LIMIT ?2
    [2, 9]
    -- SCAN t
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    insta::assert_snapshot!(demo.page(&after(Some(1), UP_NULLS_LAST)), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."country" > ?1 OR "t"."country" IS NULL OR ("t"."country" = ?1 AND "t"."id" > ?2) ORDER BY "t"."country" ASC NULLS LAST, "t"."id" ASC LIMIT ?3
    [1, 2, 9]
    -- SCAN t
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    insta::assert_snapshot!(demo.page(&after(None, UP_NULLS_LAST)), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."country" IS NULL AND "t"."id" > ?1 ORDER BY "t"."country" ASC NULLS LAST, "t"."id" ASC LIMIT ?2
    [2, 9]
    -- SEARCH t USING INDEX sqlite_autoindex_merchants_1 (id>?)
    "#);
    insta::assert_snapshot!(demo.page(&List { backward: true, ..after(Some(1), DOWN_NULLS_FIRST) }), @r#"
    SELECT "t"."id", "t"."_version" FROM "merchants" AS "t" WHERE "t"."country" < ?1 OR ("t"."country" = ?1 AND "t"."id" > ?2) ORDER BY "t"."country" ASC NULLS LAST, "t"."id" DESC LIMIT ?3
    [1, 2, 9]
    -- SCAN t
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    let mixed = List {
        before: Some(vec![Some(1), Some(2), Some(3)]),
        backward: true,
        ..demo.list("Product", &[("name", UP), ("price", DOWN), ("id", UP)])
    };
    insta::assert_snapshot!(demo.page(&mixed), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE "t"."name" <= ?1 AND ("t"."name" < ?1 OR ("t"."name" = ?1 AND "t"."price" > ?2) OR ("t"."name" = ?1 AND "t"."price" = ?2 AND "t"."id" < ?3)) ORDER BY "t"."name" DESC, "t"."price" ASC, "t"."id" DESC LIMIT ?4
    [1, 2, 3, 9]
    -- SEARCH t USING INDEX products_name_idx (name<?)
    -- USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY
    "#);
}

#[test]
fn each_operator_becomes_the_expected_sql() {
    let demo = Demo::new();
    let (name, country) = (demo.column("Merchant", "name"), demo.column("Merchant", "country"));
    let compare = |column, comparison| Filter::Compare {
        column,
        comparison,
        slot: 1,
        case_insensitive: false,
    };
    let text =
        |search, case_insensitive| Filter::Text { column: name, search, slot: 1, case_insensitive };
    let all = [
        compare(name, Comparison::Eq),
        Filter::Compare {
            column: name,
            comparison: Comparison::Eq,
            slot: 1,
            case_insensitive: true,
        },
        compare(name, Comparison::Neq),
        compare(country, Comparison::Neq),
        compare(name, Comparison::Lt),
        compare(name, Comparison::Lte),
        compare(name, Comparison::Gt),
        compare(name, Comparison::Gte),
        Filter::IsNull(country, true),
        Filter::IsNull(country, false),
        Filter::In { column: name, slot: 1, negated: false, case_insensitive: false },
        Filter::In { column: country, slot: 1, negated: true, case_insensitive: true },
        text(TextMatch::Contains, false),
        text(TextMatch::Contains, true),
        text(TextMatch::StartsWith(Some(2)), false),
        text(TextMatch::StartsWith(None), false),
        text(TextMatch::EndsWith, false),
    ];
    let all = all.map(|filter| demo.condition("Merchant", filter)).join("\n");
    insta::assert_snapshot!(all, @r#"
    "t"."name" = ?1
    _freshql_fold("t"."name") = ?1
    "t"."name" <> ?1
    ("t"."country" = ?1) IS NOT (1)
    "t"."name" < ?1
    "t"."name" <= ?1
    "t"."name" > ?1
    "t"."name" >= ?1
    "t"."country" IS NULL
    "t"."country" IS NOT NULL
    "t"."name" IN (SELECT "value" FROM json_each(?1) AS "v")
    (_freshql_fold("t"."country") IN (SELECT "value" FROM json_each(?1) AS "v")) IS NOT (1)
    instr("t"."name", ?1) > (0)
    instr(_freshql_fold("t"."name"), ?1) > (0)
    "t"."name" >= ?1 AND "t"."name" < ?2
    "t"."name" >= ?1
    substr("t"."name", (0) - length(?1)) = ?1
    "#);
}

#[test]
fn conditions_combine_and_reach_into_relations() {
    let demo = Demo::new();
    let rating = Filter::Compare {
        column: demo.column("Review", "rating"),
        comparison: Comparison::Gte,
        slot: 1,
        case_insensitive: false,
    };
    let title = Filter::IsNull(demo.column("Review", "title"), false);
    let both = || Filter::And(vec![rating.clone(), title.clone()]);
    let either = Filter::Or(vec![both(), Filter::Not(Box::new(both())), title.clone()]);
    insta::assert_snapshot!(demo.condition("Review", either), @r#"("t"."rating" >= ?1 AND "t"."title" IS NOT NULL) OR ("t"."rating" >= ?1 AND "t"."title" IS NOT NULL) IS NOT (1) OR "t"."title" IS NOT NULL"#);

    let (review, of_product) = (demo.entity("Review").id, demo.column("Review", "productId"));
    let related = |quantifier| {
        demo.condition(
            "Product",
            Filter::ToMany(
                Visible::everything(review),
                of_product,
                quantifier,
                Box::new(rating.clone()),
            ),
        )
    };
    insta::assert_snapshot!(related(Quantifier::Some), @r#"EXISTS(SELECT 1 FROM "reviews" AS "t1" WHERE "t1"."product_id" = "t"."id" AND "t1"."rating" >= ?1)"#);
    insta::assert_snapshot!(related(Quantifier::Every), @r#"NOT EXISTS(SELECT 1 FROM "reviews" AS "t1" WHERE "t1"."product_id" = "t"."id" AND ("t1"."rating" >= ?1) IS NOT (1))"#);
    insta::assert_snapshot!(related(Quantifier::None), @r#"NOT EXISTS(SELECT 1 FROM "reviews" AS "t1" WHERE "t1"."product_id" = "t"."id" AND "t1"."rating" >= ?1)"#);

    let verified = Filter::Compare {
        column: demo.column("Merchant", "verified"),
        comparison: Comparison::Eq,
        slot: 1,
        case_insensitive: false,
    };
    let merchants = Visible::everything(demo.entity("Merchant").id);
    let merchant =
        Filter::ToOne(demo.column("Product", "merchantId"), merchants, Box::new(verified));
    let products = Visible::everything(demo.entity("Product").id);
    insta::assert_snapshot!(demo.condition("Review", Filter::ToOne(of_product, products, Box::new(merchant))), @r#"EXISTS(SELECT 1 FROM "products" AS "t1" WHERE "t1"."id" = "t"."product_id" AND EXISTS(SELECT 1 FROM "merchants" AS "t2" WHERE "t2"."id" = "t1"."merchant_id" AND "t2"."verified" = ?1))"#);
}

#[test]
fn related_rows_are_found_by_an_index() {
    let demo = Demo::new();
    let rating = demo.column("Review", "rating");
    let best = Filter::Compare {
        column: rating,
        comparison: Comparison::Gte,
        slot: 1,
        case_insensitive: false,
    };
    let (review, of_product) = (demo.entity("Review").id, demo.column("Review", "productId"));
    let praised =
        Filter::ToMany(Visible::everything(review), of_product, Quantifier::None, Box::new(best));
    let list = List { filter: Some(praised), ..demo.list("Product", &[("name", UP), ("id", UP)]) };
    insta::assert_snapshot!(demo.page(&list), @r#"
    SELECT "t"."id", "t"."_version" FROM "products" AS "t" WHERE NOT EXISTS(SELECT 1 FROM "reviews" AS "t1" WHERE "t1"."product_id" = "t"."id" AND "t1"."rating" >= ?1) ORDER BY "t"."name" ASC, "t"."id" ASC LIMIT ?2
    [1, 9]
    -- SCAN t USING INDEX products_name_idx
    -- CORRELATED SCALAR SUBQUERY 1
    -- SEARCH t1 USING INDEX reviews_product_id_created_at_idx (product_id=?)
    "#);
}

#[test]
fn relations_of_many_rows_are_read_in_one_statement() {
    let demo = Demo::new();
    let merchant = demo.entity("Merchant");
    insta::assert_snapshot!(demo.batch(&Shape::Row { from: Visible::everything(merchant.id), keys: [merchant.key].into(), columns: [].into() }), @r#"
    SELECT "k"."key", "t"."id", "t"."_version" FROM json_each(?1) AS "k" CROSS JOIN "merchants" AS "t" WHERE "t"."id" IN (SELECT "c"."id" FROM "merchants" AS "c" WHERE "c"."id" = "k"."value") ORDER BY "k"."key" ASC
    [0]
    -- SCAN k VIRTUAL TABLE INDEX 1:
    -- SEARCH t USING INDEX sqlite_autoindex_merchants_1 (id=?)
    -- CORRELATED LIST SUBQUERY 1
    -- SEARCH c USING COVERING INDEX sqlite_autoindex_merchants_1 (id=?)
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    let newest = List {
        cut: Some(demo.column("Review", "productId")),
        ..demo.list("Review", &[("createdAt", DOWN), ("id", DOWN)])
    };
    let newest = Arc::new(newest);
    insta::assert_snapshot!(demo.batch(&Shape::Page { list: newest.clone(), columns: [].into() }), @r#"
    SELECT "k"."key", "t"."id", "t"."_version" FROM json_each(?1) AS "k" CROSS JOIN "reviews" AS "t" WHERE "t"."id" IN (SELECT "c"."id" FROM "reviews" AS "c" WHERE "c"."product_id" = "k"."value" ORDER BY "c"."created_at" DESC, "c"."id" DESC LIMIT ?2) ORDER BY "k"."key" ASC, "t"."created_at" DESC, "t"."id" DESC
    [0, 9]
    -- SCAN k VIRTUAL TABLE INDEX 1:
    -- SEARCH t USING INDEX sqlite_autoindex_reviews_1 (id=?)
    -- CORRELATED LIST SUBQUERY 1
    -- SEARCH c USING COVERING INDEX reviews_product_id_created_at_idx (product_id=?)
    -- USE TEMP B-TREE FOR ORDER BY
    "#);
    insta::assert_snapshot!(demo.batch(&Shape::Count(newest)), @r#"
    SELECT "k"."key", (SELECT COUNT(*) FROM "reviews" AS "t" WHERE "t"."product_id" = "k"."value") FROM json_each(?1) AS "k"
    [0]
    -- SCAN k VIRTUAL TABLE INDEX 1:
    -- CORRELATED SCALAR SUBQUERY 1
    -- SEARCH t USING COVERING INDEX reviews_product_id_created_at_idx (product_id=?)
    "#);
}

#[test]
fn writes_name_only_the_columns_that_they_set() {
    let demo = Demo::new();
    let review = demo.entity("Review");
    let columns = [demo.column("Review", "rating"), demo.column("Review", "title")];
    let show = |statement: Statement| format!("{}\n{:?}", statement.sql, slots(&statement));
    insta::assert_snapshot!(show(dialect::insert(&demo.model, review, &columns)), @r#"
    INSERT INTO "reviews" ("rating", "title") VALUES (?1, ?2) RETURNING "id"
    [2, 3]
    "#);
    insta::assert_snapshot!(show(dialect::insert(&demo.model, review, &[])), @r#"
    INSERT INTO "reviews" DEFAULT VALUES RETURNING "id"
    []
    "#);
    insta::assert_snapshot!(show(dialect::update(&demo.model, review, &columns, false)), @r#"
    UPDATE "reviews" SET "rating" = ?1, "title" = ?2 WHERE "id" = ?3
    [2, 3, 0]
    "#);
    insta::assert_snapshot!(show(dialect::update(&demo.model, review, &columns, true)), @r#"
    UPDATE "reviews" SET "rating" = ?1, "title" = ?2 WHERE "id" = ?3 AND "reviews"."_version" = ?4
    [2, 3, 0, 1]
    "#);
    insta::assert_snapshot!(show(dialect::delete(&demo.model, review, false)), @r#"
    DELETE FROM "reviews" WHERE "id" = ?1
    [0]
    "#);
    insta::assert_snapshot!(show(dialect::delete(&demo.model, review, true)), @r#"
    DELETE FROM "reviews" WHERE "id" = ?1 AND "reviews"."_version" = ?2
    [0, 1]
    "#);
}
