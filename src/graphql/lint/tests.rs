//! One test for each rule, in both directions.

use std::sync::Arc;

use super::*;
use crate::document_id::DocumentId;
use crate::graphql::Compiler;

const MODEL: &str = r#"
type Shelf @entity(orderBy: [{ label: ASC }]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  label: String! @unique
  room: String!
  volumes: [Volume!]! @derivedFrom(field: "shelf")
}
type Volume @entity(orderBy: [{ id: ASC }]) @index(fields: ["shelf", "title"]) @index(fields: ["year", "title"]) {
  id: ID! @id @default(fn: UUID_V7)
  title: String!
  year: Int!
  colour: String!
  shelf: Shelf!
  loans: [Loan!]! @derivedFrom(field: "volume")
}
type Loan @entity(maxPageSize: 6000) {
  id: ID! @id @default(fn: UUID_V7)
  reader: String!
  volume: Volume!
}
"#;

async fn all(text: &str) -> Vec<Finding> {
    let model =
        Arc::new(crate::model::parse("schema.graphql", MODEL).expect("the model is right").model);
    let compiler = Compiler::new(model.clone()).expect("the model has an API");
    let document =
        compiler.compile(DocumentId::of(text), text.into()).await.expect("the document is valid");
    lint(&model, &document)
}

fn shown(finding: &Finding) -> String {
    format!("{}:{} {}", finding.position.0, finding.position.1, finding.message)
}

/// All findings as `line:column message`.
async fn findings(text: &str) -> Vec<String> {
    all(text).await.iter().map(shown).collect()
}

async fn assert_clean(text: &str) {
    assert_eq!(findings(text).await, Vec::<String>::new(), "{text}");
}

#[tokio::test]
async fn filter_without_index_is_found_at_its_argument() {
    assert_eq!(
        findings(r#"{ volumes(where: { colour: { eq: "red" } }) { totalCount } }"#).await,
        ["1:18 no index helps this filter by `colour`: every `Volume` is scanned"]
    );
    assert_eq!(
        findings(r#"{ volumes(where: { title: { contains: "sea" } }) { totalCount } }"#).await,
        ["1:18 no index helps this filter by `title`: every `Volume` is scanned"]
    );
    assert_eq!(
        findings(r#"{ volumes(where: { shelf: { label: { eq: "A" } } }) { totalCount } }"#).await,
        ["1:18 no index can help this filter: every `Volume` is scanned"]
    );
    assert_eq!(
        findings(r#"{ volumes(where: { or: [{ year: { eq: 1 } }, { colour: { eq: "red" } }] }) { totalCount } }"#)
            .await,
        ["1:18 no index helps this filter by `year`, `colour`: every `Volume` is scanned"]
    );
    assert_eq!(
        findings(r#"{ shelves(where: { label: { startsWith: "a", mode: INSENSITIVE } }) { totalCount } }"#).await,
        ["1:18 no index can help this filter: every `Shelf` is scanned"]
    );
}

#[tokio::test]
async fn filter_that_an_index_narrows_is_fine() {
    assert_clean(
        r#"{ volumes(where: { year: { gt: 1900 }, colour: { eq: "red" } }) { totalCount } }"#,
    )
    .await;
    assert_clean(r#"{ volumes(where: { shelfId: { eq: "1" } }) { totalCount } }"#).await;
    assert_clean(r#"{ shelves(where: { label: { startsWith: "a" } }) { totalCount } }"#).await;
    assert_clean(r#"{ volumes(where: { or: [{ year: { eq: 1 } }, { id: { eq: "0190d0a1-7f3c-7000-8000-000000000001" } }] }) { totalCount } }"#).await;
    // A list that is restricted to its parent is already short.
    assert_clean(
        r#"{ shelf(id: "1") { volumes(where: { colour: { eq: "red" } }) { totalCount } } }"#,
    )
    .await;
    // The client decides.
    assert_clean("query ($where: VolumeWhere) { volumes(where: $where) { totalCount } }").await;
}

#[tokio::test]
async fn order_without_index_is_found_with_the_index_that_it_needs() {
    assert_eq!(
        findings("{ volumes(orderBy: [{ title: ASC }]) { nodes { id } } }").await,
        ["1:20 no index has `Volume` in this order by `title`: all rows are sorted for every page"]
    );
    assert_eq!(
        findings("query ($o: [VolumeOrderBy!] = [{ colour: ASC }]) { volumes(orderBy: $o) { edges { cursor } } }")
            .await,
        ["1:69 no index has `Volume` in this order by `colour`: all rows are sorted for every page"]
    );
    assert_eq!(
        findings(
            "{ shelf(id: \"1\") { volumes(orderBy: [{ year: ASC }, { colour: ASC }]) { pageInfo { hasNextPage } } } }"
        )
        .await,
        ["1:37 no index has `Volume` in this order by `year`: all rows that match are sorted for every page"]
    );
    assert_eq!(
        findings("{ shelf(id: \"1\") { volumes(orderBy: [{ colour: ASC }]) { totalCount ...R } } } fragment R on VolumeConnection { nodes { id } }").await,
        ["1:37 no index has `Volume` in this order by `colour`: all rows that match are sorted for every page"]
    );
    assert_clean("{ shelf(id: \"1\") { volumes(orderBy: [{ title: DESC }]) { nodes { id } } } }")
        .await;
    assert_clean(
        "{ volumes(where: { year: { eq: 1 } }, orderBy: [{ title: ASC }]) { nodes { id } } }",
    )
    .await;
    // Counting needs no sorting, and a single row is always in order.
    assert_clean("{ volumes(orderBy: [{ colour: ASC }]) { __typename totalCount } }").await;
    assert_clean("{ volumes(where: { id: { eq: \"0190d0a1-7f3c-7000-8000-000000000001\" } }, orderBy: [{ colour: ASC }]) { nodes { id } } }").await;
    assert_clean(
        "{ shelves(where: { label: { eq: \"a\" } }, orderBy: [{ room: ASC }]) { nodes { id } } }",
    )
    .await;
    assert_clean("{ shelves { totalCount } volumes { totalCount } }").await;
}

#[tokio::test]
async fn lists_that_may_multiply_are_found_where_they_cross_the_line() {
    assert_eq!(
        findings(
            "query ($a: Int, $b: Int) { shelves(first: $a) { nodes { volumes(first: $b) { nodes { loans(first: 1) \
                  { totalCount } } } } } }"
        )
        .await,
        ["1:57 `shelves.nodes.volumes` may have 100 rows for each of 100: 10000 in all"]
    );
    assert_eq!(
        findings("query ($n: Int = 5) { loans(last: $n) { totalCount } }").await,
        ["1:23 `loans` may have 6000 rows"]
    );
    assert_clean("query ($a: Int) { shelves(first: $a) { nodes { volumes { totalCount } } } }")
        .await;
    assert_clean(
        "{ loans(first: 100) { totalCount } shelves { nodes { volumes { totalCount } } } }",
    )
    .await;
}

#[tokio::test]
async fn one_list_under_two_names_is_found_and_two_pages_are_not() {
    assert_eq!(
        findings("{ a: shelves(first: 2) { totalCount } b: shelves(first: 2) { nodes { id } } }")
            .await,
        ["1:39 `b` reads the same list as `a`"]
    );
    assert_eq!(
        findings(
            "query ($id: ID!) { a: shelf(id: $id) { volumes { totalCount } } b: shelf(id: $id) { ...F } } \
                  fragment F on Shelf { volumes { nodes { id } } }"
        )
        .await,
        ["1:116 `b.volumes` reads the same list as `a.volumes`"]
    );
    assert_clean(
        "query ($x: String) { a: shelves(first: 2) { totalCount } b: shelves(first: 2, after: $x) { totalCount } }",
    )
    .await;
    assert_clean(
        "{ shelves { totalCount } ...F } fragment F on Query { shelves { nodes { id } } }",
    )
    .await;
}

#[tokio::test]
async fn constants_that_fail_every_request_are_errors() {
    let page = "first: must be between 0 and 100, found 1000";
    for (text, found) in [
        ("{ volumes(first: 1000) { totalCount } }", vec![format!("1:18 {page}")]),
        (
            "query ($n: Int = 1000) { volumes(first: $n) { totalCount } }",
            vec![format!("1:41 {page}")],
        ),
        (
            "query ($x: Boolean!) { volumes(first: 1000) @skip(if: $x) { totalCount } }",
            vec![format!("1:39 {page}")],
        ),
        (
            "query ($x: Boolean!) { volumes(first: 1000) @include(if: $x) { totalCount } }",
            vec![format!("1:39 {page}")],
        ),
        (
            "query ($w: VolumeWhere) { volumes(where: $w, first: 1000) { totalCount } }",
            vec![format!("1:53 {page}")],
        ),
        ("query ($n: Int) { volumes(first: $n) { totalCount } }", vec![]),
        ("query ($n: Int!) { shelf(id: \"1\") { volumes(first: $n) { totalCount } } }", vec![]),
        ("query ($t: String!) { volumes(where: { title: { eq: $t } }) { totalCount } }", vec![]),
    ] {
        let mistakes: Vec<String> =
            all(text).await.iter().filter(|f| f.is_mistake).map(shown).collect();
        assert_eq!(mistakes, found, "{text}");
    }
    for text in [
        r#"{ volumes(after: "nonsense") { totalCount } }"#,
        "{ volumes(first: -1) { totalCount } }",
        "{ volumes(first: 1, last: 1) { totalCount } }",
        "mutation ($id: ID!) { updateVolume(id: $id, patch: { title: null }) { id } }",
    ] {
        assert!(all(text).await.iter().any(|finding| finding.is_mistake), "{text}");
    }
    let one_may_change = "mutation ($id: ID!, $title: String!) { updateVolume(id: $id, patch: { title: $title }) { id } }";
    assert!(all(one_may_change).await.is_empty());
}

#[tokio::test]
async fn mutations_are_checked_too() {
    let text = "mutation ($input: ShelfInput!) { createShelf(input: $input) { volumes(orderBy: [{ colour: ASC }]) { nodes { id } } } }";
    assert_eq!(findings(text).await.len(), 1);
}
