//! What an answer may cost: small requests that would take years are stopped while they run, and
//! nobody else waits for them.

use std::time::Duration;

use freshql::app;
use freshql::config::{AnswerLimits, ByteSize, Mode, PartialConfig};
use freshql::graphql::{Code, Compiler, Engine, GraphqlError};
use freshql::model::Diagnostic;
use http::header::IF_NONE_MATCH;
use serde_json::{Value, json};

use crate::database::{Driver, driver};
use crate::harness::{MERCHANT, TestApp, project, url, url_with};
use crate::shop::Shop;

const FOLDERS: &str = "type Folder @entity(orderBy: [{id: ASC}]) {
  id: ID! @id @default(fn: AUTOINCREMENT) name: String! text: String
  parent: Folder children: [Folder!]! @derivedFrom(field: \"parent\") }";

/// A hundred folders in the first one, which contains itself.
fn folders(limits: AnswerLimits) -> Shop {
    let mut shop = Shop::of(FOLDERS);
    let rows = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
        INSERT INTO folders (id, name, parent_id) SELECT n, 'folder ' || n, 1 FROM n";
    shop.outsider.execute(rows);
    let compiler = Compiler::new(shop.model.clone()).unwrap();
    shop.engine = Engine::with_limits(compiler, shop.engine.store().clone(), limits);
    shop
}

#[track_caller]
fn too_complex(shop: &Shop, text: &str, variables: &Value) -> GraphqlError {
    let errors = shop.run(text, variables).expect_err(text);
    assert_eq!(errors[0].code, Code::QueryTooComplex, "{errors:?}");
    errors[0].clone()
}

/// All children of the parents of all children of …: 100 to the power of `levels` rows.
fn nested(levels: usize) -> String {
    let list = "nodes { id parent { children(first: 100) { ";
    format!(
        "{{ folders(first: 100) {{ {} totalCount {} }} }}",
        list.repeat(levels - 1),
        "} } }".repeat(levels - 1)
    )
}

#[test]
fn an_answer_of_too_many_rows_is_stopped_while_it_is_read() {
    let limits = AnswerLimits { max_rows: 5000, ..AnswerLimits::default() };
    let shop = folders(limits);
    // The list, 100 rows, their parents, and a list for each.
    assert!(shop.run(&nested(2), &json!({})).is_ok());
    // Without a limit, the test would never end.
    for levels in [3, 9] {
        let error = too_complex(&shop, &nested(levels), &json!({}));
        assert!(error.message.contains("more than 5000 rows"), "{}", error.message);
        assert!(error.path.len() > 3, "{:?}", error.path);
    }
    // Lists without rows cost something, too.
    let lists: String =
        (0..200).map(|n| format!("a{n}: children(first: 0) {{ __typename }} ")).collect();
    too_complex(&shop, &format!("{{ folders(first: 100) {{ nodes {{ {lists} }} }} }}"), &json!({}));
    // A refused request has no effect on the next one.
    assert!(shop.run(&nested(2), &json!({})).is_ok());
}

#[test]
fn an_answer_of_too_many_bytes_is_stopped_while_it_is_written() {
    let limits = AnswerLimits { max_response_bytes: 1 << 20, ..AnswerLimits::default() };
    let shop = folders(limits);
    shop.outsider
        .execute(&format!("UPDATE folders SET text = '{}' WHERE id = 2", "x".repeat(100_000)));
    let text = |count: usize| (0..count).map(|n| format!("t{n}: text ")).collect::<String>();
    let one = |count| format!("{{ folder(id: 2) {{ {} }} }}", text(count));
    assert!(shop.run(&one(10), &json!({})).is_ok());
    too_complex(&shop, &one(300), &json!({}));
    // Rows that are read from the end, and rows that are stored because they are needed twice.
    for list in ["last: 100", "first: 100"] {
        let twice = |count| {
            let edges =
                format!("edges {{ cursor node {{ {} }} }} pageInfo {{ endCursor }}", text(count));
            format!(
                "{{ folders({list}, where: {{id: {{in: [1, 2]}}}}) {{ {edges} nodes {{ {} }} }} }}",
                text(count)
            )
        };
        shop.data(&twice(4), &json!({}));
        too_complex(&shop, &twice(6), &json!({}));
    }
    let names: String = (0..2000).map(|n| format!("n{n}: __typename ")).collect();
    for inner in [&format!("nodes {{ {names} }}"), &format!("edges {{ {names} }}"), &names] {
        let list = format!("nodes {{ children(first: 100) {{ {inner} }} }}");
        too_complex(&shop, &format!("{{ folders(first: 100) {{ {list} }} }}"), &json!({}));
    }
}

#[test]
fn introspection_of_too_many_fields_is_refused() {
    let limits = AnswerLimits { max_response_bytes: 100_000, ..AnswerLimits::default() };
    let shop = folders(limits);
    let schema = |count: usize| {
        let names: String = (0..count).map(|n| format!("n{n}: name ")).collect();
        format!("{{ __schema {{ types {{ fields {{ {names} }} }} }} }}")
    };
    assert!(shop.run(&schema(10), &json!({})).is_ok());
    assert!(too_complex(&shop, &schema(900), &json!({})).message.contains("bytes"));
    assert!(too_complex(&shop, &schema(1000), &json!({})).message.contains("introspection"));
}

/// `where` in `where`: each level examines all rows for each row of the level around it.
fn filter(levels: usize) -> Value {
    (0..levels).fold(
        json!({"name": {"contains": "nowhere"}}),
        |inner, _| json!({"parent": {"children": {"some": inner}}}),
    )
}

const FILTERED: &str =
    "query($w: FolderWhere) { folders(where: $w, first: 1) { totalCount nodes { id } } }";

#[test]
fn a_filter_that_runs_too_long_is_interrupted() {
    // SQLite counts steps; PostgreSQL's work for a query is limited by time.
    if driver() != Driver::Sqlite {
        return;
    }
    let limits = AnswerLimits { max_steps: 3_000_000, ..AnswerLimits::default() };
    let shop = folders(limits);
    assert!(shop.run(FILTERED, &json!({"w": filter(1)})).is_ok());
    for levels in [4, 7] {
        let error = too_complex(&shop, FILTERED, &json!({"w": filter(levels)}));
        assert!(error.message.contains("fewer relations"), "{}", error.message);
    }
    // Many values are one lookup each; many rows times many conditions are not.
    let many: Vec<String> = (0..50_000).map(|n| format!("folder {n}")).collect();
    assert!(shop.run(FILTERED, &json!({"w": {"name": {"in": many}}})).is_ok());
    assert!(shop.run(FILTERED, &json!({"w": filter(1)})).is_ok());
}

#[test]
fn a_mutation_whose_answer_exceeds_the_limits_is_rolled_back() {
    // SQLite counts steps; PostgreSQL's work for a query is limited by time.
    if driver() != Driver::Sqlite {
        return;
    }
    let limits = AnswerLimits { max_rows: 1000, ..AnswerLimits::default() };
    let shop = folders(limits);
    let rename = |selection: &str| {
        format!(
            "mutation($w: FolderWhere) {{ updateFolder(id: 3, patch: {{name: \"new\"}}) {{ name {selection} }} }}"
        )
    };
    let rows = "parent { children(first: 100) { nodes { parent { children(first: 100) { nodes { id } } } } } }";
    too_complex(&shop, &rename(rows).replace("($w: FolderWhere)", ""), &json!({}));
    let steps = rename("parent { children(where: $w) { totalCount } }");
    too_complex(&shop, &steps, &json!({"w": filter(7)}));
    assert_eq!(
        shop.data("{ folder(id: 3) { name } }", &json!({})),
        r#"{"folder":{"name":"folder 3"}}"#
    );
}

#[tokio::test]
async fn expensive_queries_are_refused_and_do_not_delay_cheap_ones() {
    // SQLite counts steps; PostgreSQL's work for a query is limited by time.
    if driver() != Driver::Sqlite {
        return;
    }
    let app = TestApp::start_with(Mode::Open, |config| {
        config.readers = 1;
        config.cache_size = ByteSize(0);
        config.limits.answer.max_steps = 10_000_000;
    })
    .await;
    for number in 0..40 {
        app.create_merchant(&format!("Shop {number}")).await;
    }
    let (id, _) = app.create_merchant("Tea").await;
    let products = "INSERT INTO products (id, sku, name, description, price, stock, status, created_at, merchant_id)
        SELECT printf('0190b4f4-0000-7000-8000-%06d%06d', a.rowid, b.rowid), b.rowid, 'x', 'y', 1, 1, 'ACTIVE',
          '2026-11-22T09:30:00.000Z', a.id FROM merchants AS a, merchants AS b";
    app.outsider().execute(products);

    let costly = async |number: usize| {
        let last = json!({"name": {"contains": format!("nowhere {number}")}});
        let filter =
            (0..6).fold(last, |inner, _| json!({"merchant": {"products": {"some": inner}}}));
        let query = "query($w: ProductWhere) { products(where: $w) { totalCount } }";
        app.post("/graphql", &json!({"query": query, "variables": {"w": filter}})).await
    };
    // More than there are readers, including the slow ones.
    let costly = async { tokio::join!(costly(0), costly(1), costly(2), costly(3)) };
    let cheap = async {
        // By then, the others have begun.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for _ in 0..5 {
            assert_eq!(app.get(&url_with(MERCHANT, &json!({"id": id}))).await.status, 200);
            assert_eq!(app.get("/readyz").await.status, 200);
            app.move_merchant(&id, "Bruges").await;
        }
    };
    tokio::pin!(costly);
    tokio::select! {
        () = cheap => {}
        _ = &mut costly => panic!("the costly ones were done first"),
    }
    let (a, b, c, d) = costly.await;
    for answer in [a, b, c, d] {
        answer.assert_error(422, "QUERY_TOO_COMPLEX");
    }
}

fn many_variables(count: usize) -> serde_json::Map<String, Value> {
    (0..count).map(|n| (format!("unknown{n}"), json!(n))).collect()
}

#[tokio::test]
async fn the_errors_of_a_response_are_bounded_in_number_and_length() {
    let app = TestApp::start(Mode::Open).await;
    let answer = app.post(&url(MERCHANT), &json!({"variables": many_variables(40_000)})).await;
    answer.assert_error(422, "BAD_USER_INPUT");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    assert_eq!(errors.len(), 12, "ten unknown ones, how many more, and the missing one");
    assert_eq!(errors[10]["message"], "39990 more variables are unknown");

    let long = "x".repeat(200_000);
    let where_ = |filter: Value| json!({"query": FILTER, "variables": {"w": filter}});
    for request in [
        json!({"query": "{ __typename }", "variables": {&long: 1}}),
        json!({"query": format!("{{ {long} }}")}),
        where_(json!({&long: 1})),
        where_(json!({"name": {&long: 1}})),
        where_(json!({"createdAt": {"eq": long}})),
        where_(json!({"createdAt": {"in": vec!["x"; 20_000]}})),
        json!({"query": FILTER, "operationName": long}),
        json!({"query": "query($id: ID!) { merchant(id: $id) { id } }", "variables": {"id": vec![long.clone()]}}),
        json!({"query": format!("{{ merchants {{ nodes {{ {} }} }} }}", "unknown(a: 1) ".repeat(2000))}),
    ] {
        let answer = app.post("/graphql", &request).await;
        assert!((400..500).contains(&answer.status.as_u16()), "{}", answer.status);
        assert!(answer.body.len() < 100_000, "{}…", &answer.text()[..1000]);
    }
}

const FILTER: &str = "query($w: MerchantWhere) { merchants(where: $w) { totalCount } }";

/// This test's server has one thread for its connections, which the test's client shares.
#[tokio::test]
async fn long_requests_do_not_delay_short_ones() {
    let app = TestApp::start(Mode::Open).await;
    let (id, _) = app.create_merchant("Tea").await;
    let etag = app.get(&url_with(MERCHANT, &json!({"id": id}))).await.etag().to_owned();
    let long = async |number: usize| {
        let fields: String = (0..4000).map(|n| format!("a{number}x{n}: name ")).collect();
        let valid = json!({"query": format!("{{ merchants {{ nodes {{ {fields} }} }} }}")});
        let invalid = json!({"query": "{ __typename }", "variables": many_variables(40_000)});
        tokio::join!(app.post("/graphql", &valid), app.post("/graphql", &invalid))
    };
    let long = async { tokio::join!(long(0), long(1), long(2)) };
    let short = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..20 {
            let answer = app
                .get_with(&url_with(MERCHANT, &json!({"id": id})), &[(IF_NONE_MATCH, &etag)])
                .await;
            assert_eq!(answer.status, 304);
            assert_eq!(app.get("/healthz").await.status, 200);
        }
    };
    tokio::pin!(long);
    tokio::select! {
        () = short => {}
        _ = &mut long => panic!("the long ones were done first"),
    }
    let ((a, b), (c, d), (e, f)) = long.await;
    for (valid, invalid) in [(a, b), (c, d), (e, f)] {
        assert_eq!((valid.status.as_u16(), invalid.status.as_u16()), (200, 422));
    }
}

#[tokio::test]
async fn check_tells_how_many_rows_an_operation_may_read() {
    let directory = project();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join("queries").join(name), text).unwrap()
    };
    // A list with its rows; for each a row, and a list with its rows; all of that counted once,
    // however often it is selected.
    let merchant = "merchant { id products(first: $n) { nodes { id } } }";
    write(
        "Wide.graphql",
        &format!(
            "query Wide($n: Int) {{ products(first: 70) {{ nodes {{ ...A }} edges {{ cursor }} nodes {{ {merchant} }} }} }} fragment A on Product {{ {merchant} }}"
        ),
    );
    let check = async |max_rows: u64| {
        let overrides = PartialConfig {
            dir: Some(directory.path().to_owned()),
            max_rows: Some(max_rows.try_into().unwrap()),
            ..PartialConfig::default()
        };
        app::check(&app::configure(overrides).unwrap()).await.unwrap()
    };
    let rows = 1 + 70 * (1 + 1 + 1 + 100);
    let checked = check(1_000_000).await;
    assert!(
        checked.summary.contains(&format!(
            "Wide.graphql) may read the most rows for one answer: {rows}, of 1000000"
        )),
        "{}",
        checked.summary
    );
    let beyond = |warnings: &[Diagnostic]| {
        warnings
            .iter()
            .filter(|warning| warning.message.contains("no answer may read more than"))
            .map(|w| w.message.clone())
            .collect::<Vec<_>>()
    };
    assert!(beyond(&checked.warnings).is_empty());
    let checked = check(rows - 1).await;
    assert_eq!(
        beyond(&checked.warnings),
        [format!(
            "the operation Wide may read {rows} rows, but no answer may read more than {}",
            rows - 1
        )]
    );
}
