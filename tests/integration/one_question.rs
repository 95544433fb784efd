//! Different spellings of the same request are one question: one ETag, one canonical URL. What they
//! leave out is no condition, and their mistakes are reported even if the field is skipped.

use freshql::config::Mode;
use http::header::{CONTENT_LOCATION, IF_MATCH};
use serde_json::{Value, json};

use crate::harness::{TWO, TestApp, UPDATE, project, url, url_with};
use crate::shop::Shop;

/// Each of these variables gets the same answer under the same ETag and URL.
async fn assert_one_question(text: &str, variables: &[Value]) {
    let project = project();
    std::fs::write(project.path().join("queries/asked.graphql"), text).unwrap();
    let app = TestApp::start_in(project, Mode::Trusted, |_| {}).await;
    let first = app.get(&url_with(text, &variables[0])).await;
    for variables in variables {
        let answer = app.get(&url_with(text, variables)).await;
        assert_eq!(answer.status, 200, "{text} {variables}: {}", answer.text());
        assert_eq!(answer.etag(), first.etag(), "{text} {variables}");
        assert_eq!(
            answer.header(CONTENT_LOCATION),
            first.header(CONTENT_LOCATION),
            "{text} {variables}"
        );
    }
}

#[tokio::test]
async fn spellings_of_one_question_share_etag_and_url() {
    let first = "query($n: Int) { merchants(first: $n) { totalCount } }";
    assert_one_question(first, &[json!({"n": 5}), json!({"n": 5.0})]).await;
    assert_one_question(first, &[json!({}), json!({"n": null})]).await;
    let with_default = "query($n: Int = 5) { merchants(first: $n) { totalCount } }";
    assert_one_question(with_default, &[json!({}), json!({"n": 5.0})]).await;
    let id = "0191408b-7983-7be4-aaa9-5d21c6f3b6cd";
    let one = "query($id: ID!) { product(id: $id) { name } }";
    assert_one_question(one, &[json!({"id": id}), json!({"id": id.to_uppercase()})]).await;
    let many = "query($w: ProductWhere!, $ids: [ID!]) {
        products(where: {and: [{id: {in: $ids}}], or: [$w]}) { totalCount } }";
    let spellings = [
        json!({"w": {"merchantId": {"eq": id}}, "ids": [id]}),
        json!({"ids": id.to_uppercase(), "w": {"merchantId": {"neq": null, "eq": id.to_uppercase()}, "not": null}}),
    ];
    assert_one_question(many, &spellings).await;
}

#[tokio::test]
async fn input_objects_are_coerced_where_their_field_is_skipped_too() {
    let app = TestApp::start(Mode::Open).await;
    let query = "query($w: ProductWhere, $o: [ProductOrderBy!]) {
        __typename products(where: $w, orderBy: $o) @skip(if: true) { totalCount } }";
    let refused = [
        (
            json!({"w": {"name": {"eq": 5}}}),
            "variable $w.name.eq does not coerce: expected a String, found 5",
        ),
        (
            json!({"w": {"nam": {}}}),
            "variable $w does not coerce: ProductWhere has no field `nam`; did you mean `name`?",
        ),
        (json!({"w": "x"}), "variable $w does not coerce: expected an object of type ProductWhere"),
        (json!({"w": {"and": [null]}}), "variable $w.and.0 of type ProductWhere! may not be null"),
        (
            json!({"o": {"name": "UP"}}),
            "variable $o.name does not coerce: OrderDirection has no value `UP`",
        ),
        (
            json!({"o": {"name": "ASC", "id": "ASC"}}),
            "variable $o does not coerce: exactly one field",
        ),
    ];
    for (variables, message) in refused {
        let answer = app.post("/graphql", &json!({"query": query, "variables": variables})).await;
        answer.assert_error(422, "BAD_USER_INPUT");
        let found = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(found.starts_with(message), "{variables}: {found}");
    }
}

#[tokio::test]
async fn the_operation_may_be_named_by_a_parameter_and_only_once() {
    let app = TestApp::start(Mode::Trusted).await;
    let path = url(TWO);
    let (one, other) = ("A", "B");
    let expected = app.get(&format!("{path}/{one}")).await;
    assert_eq!(expected.status, 200, "{}", expected.text());
    let named = app.get(&format!("{path}?operationName={one}")).await;
    assert_eq!((named.etag(), named.text()), (expected.etag(), expected.text()));
    assert_eq!(named.header(CONTENT_LOCATION), expected.header(CONTENT_LOCATION));
    assert_eq!(app.get(&format!("{path}/{one}?operationName={one}")).await.status, 200);
    app.get(&format!("{path}/{one}?operationName={other}")).await.assert_error(400, "BAD_REQUEST");
    app.post(&format!("{path}/{one}"), &json!({"operationName": other}))
        .await
        .assert_error(400, "BAD_REQUEST");
    app.get(&format!("{path}?operationName=Nothing"))
        .await
        .assert_error(422, "OPERATION_RESOLUTION_FAILURE");
}

#[tokio::test]
async fn an_expected_etag_may_be_quoted_or_weak_and_if_match_is_strong() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, mut etag) = app.create_merchant("Merchant of the test").await;
    for form in ["\"{}\"", "W/\"{}\"", "{}"] {
        let expected = form.replace("{}", &etag);
        let variables = json!({"id": id, "patch": {"city": form}, "expectedEtag": expected});
        let answer = app.post(&url(UPDATE), &json!({"variables": variables})).await;
        assert_eq!(answer.status, 200, "{form}: {}", answer.text());
        etag = answer.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned();
    }
    for form in ["W/{}", "\"{}", "W/\"\"{}\"\""] {
        let variables =
            json!({"id": id, "patch": {"city": form}, "expectedEtag": form.replace("{}", &etag)});
        app.post(&url(UPDATE), &json!({"variables": variables}))
            .await
            .assert_error(412, "PRECONDITION_FAILED");
    }
    let weak = format!("W/\"{etag}\"");
    let body = json!({"variables": {"id": id, "patch": {"city": "x"}}});
    app.post_with(&url(UPDATE), &body, &[(IF_MATCH, &weak)])
        .await
        .assert_error(412, "PRECONDITION_FAILED");
}

const PEOPLE: &str = r#"
type Team @entity { id: ID! @id  name: String!  people: [Person!]! @derivedFrom(field: "team") }
type Person @entity { id: ID! @id  name: String!  age: Int  team: Team @relation(onDelete: SET_NULL) }
"#;

#[test]
fn empty_form_fields_are_no_condition() {
    let shop = Shop::of(PEOPLE);
    for id in ["a", "b", "c"] {
        shop.data(
            "mutation($i: TeamInput!) { createTeam(input: $i) { id } }",
            &json!({"i": {"id": id, "name": id}}),
        );
    }
    for (id, age, team) in [
        ("1", Some(1), Some("a")),
        ("2", Some(2), Some("a")),
        ("3", None, Some("b")),
        ("4", Some(2), None),
    ] {
        let input = json!({"i": {"id": id, "name": format!("n{id}"), "age": age, "teamId": team}});
        shop.data("mutation($i: PersonInput!) { createPerson(input: $i) { id } }", &input);
    }
    let count = |list: &str, filter: Value| {
        let ty = if list == "people" { "PersonWhere" } else { "TeamWhere" };
        let found = shop.json(
            &format!("query($w: {ty}) {{ {list}(where: $w) {{ totalCount }} }}"),
            &json!({"w": filter}),
        );
        found["data"][list]["totalCount"].as_i64().unwrap()
    };
    // No condition: every row.
    for nothing in [
        json!(null),
        json!({}),
        json!({"name": {}}),
        json!({"name": null, "age": {"eq": null, "in": null}}),
        json!({"name": {"mode": "INSENSITIVE"}}),
        json!({"or": [{}]}),
        json!({"or": [{}, {"age": {"eq": null}}], "and": []}),
        json!({"not": {}}),
        json!({"not": {"or": [{"age": {"isNull": null}}]}}),
        json!({"team": {}}),
        json!({"team": {"people": {"every": {"age": {}}}}}),
    ] {
        assert_eq!(count("people", nothing.clone()), 4, "{nothing}");
    }
    // Conditions count, and absent ones have no effect on them.
    assert_eq!(
        count("people", json!({"or": [{"age": {"eq": 2}}, {"name": {"contains": null}}]})),
        2
    );
    assert_eq!(count("people", json!({"not": {"age": {"eq": 2, "lt": null}}, "or": [{}]})), 2);
    assert_eq!(count("people", json!({"age": {"in": []}})), 0);
    // `some`, `none` and `every` without conditions.
    assert_eq!(count("teams", json!({"people": {"some": {}}})), 2);
    assert_eq!(count("teams", json!({"people": {"none": {}}})), 1);
    assert_eq!(count("teams", json!({"people": {"every": {}}})), 3);
    assert_eq!(count("teams", json!({"people": {"some": {"age": {"gte": null}}}})), 2);
    assert_eq!(count("teams", json!({"people": {"some": null}})), 3);
    assert_eq!(count("people", json!({"team": {"people": {"none": {}}}})), 0);
    // A list without alternatives has no clear meaning.
    let none = shop.run(
        "query($w: PersonWhere) { people(where: $w) { totalCount } }",
        &json!({"w": {"or": []}}),
    );
    assert!(none.unwrap_err()[0].message.contains("expected at least one condition"));
}

#[test]
fn null_in_a_document_is_an_error_that_says_what_to_write() {
    let shop = Shop::of(PEOPLE);
    let refused = [
        (
            "{age: {eq: null}}",
            "\"where.age.eq\": null is not a condition; to find rows without a value, write `isNull: true`",
        ),
        (
            "{age: null}",
            "\"where.age\": null is not a condition; to find rows without a value, write `{isNull: true}`",
        ),
        ("{name: {eq: null}}", "\"where.name.eq\": null is not a condition; leave it out"),
        (
            "{team: {people: {some: null}}}",
            "\"where.team.people.some\": null is not a condition; leave it out",
        ),
        ("{not: null}", "\"where.not\": null is not a condition; leave it out"),
    ];
    for (filter, message) in refused {
        let text = format!("{{ people(where: {filter}) {{ totalCount }} }}");
        let errors = shop.run(&text, &json!({})).unwrap_err();
        assert!(errors[0].message.contains(message), "{filter}: {}", errors[0].message);
    }
    assert_eq!(
        shop.data("{ people(where: null) { totalCount } }", &json!({})),
        "{\"people\":{\"totalCount\":0}}"
    );
}
