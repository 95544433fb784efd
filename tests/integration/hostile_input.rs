//! Malicious or corrupt input: forged cursors, huge filters, rows that violate the model's rules.
//! Each gets a response, and none a wrong one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshql::graphql::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::database::{Driver, driver};
use crate::properties::check;
use crate::random_choices::Choices;
use crate::rows::any_tables;
use crate::shop::Shop;

const ANN: &str = "0190b4f4-0000-7000-8000-00000000000a";
const BEN: &str = "0190b4f4-0000-7000-8000-00000000000b";

/// Two authors and three books by Ann, of which Ben prefers the second.
fn small() -> Shop {
    let shop = Shop::bookshop();
    let sql = format!(
        "INSERT INTO authors (id, name, born) VALUES ('{ANN}', 'Ann', '2001-01-01'), ('{BEN}', 'Ben', NULL);
         INSERT INTO books (id, title, price, score, made, day, author_id) VALUES
           (1, 'One', 10000, 0.5, '2026-11-22T09:30:00.000Z', '2026-11-22', '{ANN}'),
           (2, 'Two', 20000, 0.5, '2026-11-22T09:30:00.000Z', '2026-11-22', '{ANN}'),
           (3, 'Three', 30000, 0.5, '2026-11-22T09:30:00.000Z', '2026-11-22', '{ANN}');
         UPDATE authors SET favourite_id = 2 WHERE id = '{BEN}';"
    );
    shop.outsider.execute(&sql);
    shop
}

/// The same after somebody has disabled all checks and written this.
fn spoilt(sql: &str) -> Shop {
    let shop = small();
    shop.outsider
        .sqlite()
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    shop.outsider.sqlite().execute_batch(sql).unwrap();
    shop
}

/// The body of an answer with errors: `data`, and path and message of each error.
#[track_caller]
fn with_errors(shop: &Shop, text: &str) -> String {
    let answer = shop.run(text, &json!({})).unwrap();
    assert!(answer.field_errors, "{:?}", answer.body);
    assert!(answer.etag.is_none());
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let errors = body["errors"].as_array().unwrap().iter();
    let errors =
        errors.map(|error| format!("{} {}", error["path"], error["message"].as_str().unwrap()));
    format!("{}\n{}", body["data"], errors.collect::<Vec<_>>().join("\n"))
}

#[track_caller]
fn refused(shop: &Shop, text: &str, variables: &Value) -> String {
    let errors = shop.run(text, variables).unwrap_err();
    assert_eq!(errors[0].code, Code::BadUserInput, "{errors:?}");
    errors[0].message.clone()
}

const PAGE: &str = "query($after: String, $order: [AuthorOrderBy!]) {
  authors(first: 1, after: $after, orderBy: $order) { edges { cursor node { name } } }
}";

#[test]
fn cursors_of_other_orderings_and_lists_are_refused() {
    let shop = small();
    let cursor = |order: &Value| {
        shop.json(PAGE, &json!({"order": order}))["data"]["authors"]["edges"][0]["cursor"].clone()
    };
    let by_name = json!([{"name": "ASC"}]);
    let cursor_by_name = cursor(&by_name);
    assert!(shop.run(PAGE, &json!({"after": cursor_by_name, "order": by_name})).is_ok());
    for order in [
        json!([{"name": "DESC"}]),
        json!([{"id": "ASC"}]),
        json!([{"name": "ASC"}, {"rank": "ASC"}]),
        json!(null),
    ] {
        let message = refused(&shop, PAGE, &json!({"after": cursor_by_name, "order": order}));
        assert!(message.contains("another ordering"), "{message}");
    }
    let labels = "query($after: String) { labels(after: $after, orderBy: [{slug: ASC}]) { nodes { slug } } }";
    refused(&shop, labels, &json!({"after": cursor(&json!([{"id": "ASC"}]))}));
    for text in ["", "!", "AQ", "not a cursor", "AgAAAAA", "é"] {
        let message = refused(&shop, PAGE, &json!({"after": text}));
        assert!(message.contains("is not a cursor of this server"), "{text:?}: {message}");
    }
}

#[test]
fn a_forged_cursor_is_refused_or_a_valid_position() {
    let shop = small();
    let order = json!([{"born": "ASC"}, {"rank": "DESC"}]);
    let page = shop.json(PAGE, &json!({"order": order}));
    let cursor = page["data"]["authors"]["edges"][0]["cursor"].as_str().unwrap().to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let forge = |bytes: &[u8]| {
        shop.run(PAGE, &json!({"after": URL_SAFE_NO_PAD.encode(bytes), "order": order}))
    };
    let head = bytes[..5].to_vec();
    let forged = |rest: &[u8]| forge(&[&head[..], rest].concat());
    let int = |value: i64| [&b"i"[..], &value.to_be_bytes()].concat();
    let text = |text: &[u8]| [&b"t"[..], &(text.len() as u32).to_be_bytes(), text].concat();
    // NULL in a non-null field, other types, a length beyond the end, invalid UTF-8, trailing
    // bytes.
    let (born, rank, id) = (text(b"2001-01-01"), int(3), text(ANN.as_bytes()));
    assert!(forged(&[&born[..], &rank, &id].concat()).is_ok());
    assert!(forged(&[&b"n"[..], &int(i64::MIN), &text(b"")].concat()).is_ok());
    for rest in [
        [&b"n"[..], b"n", &id].concat(),
        [&born[..], &rank, b"n"].concat(),
        [&born[..], &text(b"3"), &id].concat(),
        [&int(1)[..], &rank, &id].concat(),
        [&born[..], b"r", &f64::NAN.to_be_bytes(), &id].concat(),
        [&born[..], &rank, b"t\xFF\xFF\xFF\xFFab"].concat(),
        [&born[..], &rank, &text(b"\xFF")].concat(),
        [&born[..], &rank, &id, b"n"].concat(),
        [&born[..], &rank].concat(),
    ] {
        assert_eq!(forged(&rest).unwrap_err()[0].code, Code::BadUserInput, "{rest:?}");
    }
    // Any other bytes are refused or accepted, and nothing worse.
    check(200, (0..bytes.len(), any::<u8>(), 0..bytes.len()), |(at, byte, cut)| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        for bytes in [&changed[..], &changed[..cut]] {
            if let Err(errors) = forge(bytes) {
                prop_assert_eq!(errors[0].code, Code::BadUserInput);
            }
        }
        Ok(())
    });
}

#[test]
fn page_sizes_range_from_zero_to_the_maximum_and_apply_to_one_end() {
    let shop = small();
    let text = "query($first: Int, $last: Int) { authors(first: $first, last: $last) {
      totalCount nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let empty = |next: bool, previous: bool| {
        let info = json!({"hasNextPage": next, "hasPreviousPage": previous, "startCursor": null, "endCursor": null});
        json!({"authors": {"totalCount": 2, "nodes": [], "pageInfo": info}})
    };
    assert_eq!(shop.json(text, &json!({"first": 0}))["data"], empty(true, false));
    assert_eq!(shop.json(text, &json!({"last": 0}))["data"], empty(false, true));
    assert_eq!(
        shop.json(text, &json!({"first": 1.0, "last": null}))["data"]["authors"]["nodes"],
        json!([{"name": "Ben"}])
    );
    insta::assert_snapshot!(refused(&shop, text, &json!({"first": -1})), @"first: must be between 0 and 7, found -1");
    insta::assert_snapshot!(refused(&shop, text, &json!({"last": 8})), @"last: must be between 0 and 7, found 8");
    insta::assert_snapshot!(refused(&shop, text, &json!({"first": 1, "last": 1})), @"last: cannot be combined with first; ask for one end of the list");
    refused(&shop, text, &json!({"first": 2_147_483_648_u64}));
    refused(&shop, text, &json!({"first": 1.5}));
    refused(&shop, text, &json!({"first": "1"}));
}

#[test]
fn null_is_no_condition_and_does_not_change_the_etag() {
    let shop = small();
    let text = "query($no: Boolean = false) { authors(first: 1) { totalCount nodes @skip(if: $no) { name } } }";
    insta::assert_snapshot!(refused(&shop, text, &json!({"no": null})), @"variable $no may not be null in the condition of @skip or @include");
    assert!(shop.data(text, &json!({"no": false})).contains("Ben"));
}

#[test]
fn filters_beyond_the_size_limit_are_refused() {
    let shop = small();
    let text = "query($w: AuthorWhere) { authors(where: $w) { totalCount } }";
    let total = |filter: &Value| {
        shop.run(text, &json!({"w": filter})).map(|answer| {
            serde_json::from_slice::<Value>(&answer.body).unwrap()["data"]["authors"]["totalCount"]
                .as_u64()
                .unwrap()
        })
    };
    // A condition is an object or an operator: the outermost one, then two for each alternative.
    let any_of = |count: usize| json!({"or": vec![json!({"name": {"eq": "Ann"}}); count]});
    assert_eq!(total(&any_of(127)).unwrap(), 1);
    let message = refused(&shop, text, &json!({"w": any_of(128)}));
    assert!(message.contains("at most 256 conditions"), "{message}");
    refused(&shop, text, &json!({"w": any_of(70_000)}));

    let nested = |count: usize, wrap: &dyn Fn(Value) -> Value| {
        (0..count).fold(json!({"name": {"eq": "Ann"}}), |f, _| wrap(f))
    };
    for wrap in [
        &|f| json!({"not": f}),
        &|f| json!({"mentor": f}),
        &|f| json!({"pupils": {"some": f}}),
        &|f| json!({"pupils": {"every": f}}),
        &|f| json!({"pupils": {"none": f}}),
        // With the maximum width at each level.
        &|f| json!({"pupils": {"every": f}, "or": vec![json!({"rank": {"neq": 0}}); 6]}),
    ] as [&dyn Fn(Value) -> Value; 6]
    {
        assert!(total(&nested(15, wrap)).is_ok());
        refused(&shop, text, &json!({"w": nested(16, wrap)}));
        refused(&shop, text, &json!({"w": nested(300, wrap)}));
    }

    let many: Vec<String> =
        (0..100_000).map(|number| format!("x{number}")).chain(["Ann".to_owned()]).collect();
    assert_eq!(total(&json!({"name": {"in": many}})).unwrap(), 1);
    assert_eq!(
        total(&json!({"name": {"notIn": many, "in": ["ben"], "mode": "INSENSITIVE"}})).unwrap(),
        1
    );
}

#[test]
fn empty_conditions_match_every_row_and_contradictory_ones_none() {
    let shop = small();
    let text = "query($w: AuthorWhere) { authors(where: $w) { totalCount } }";
    let all = shop.data("{ authors { totalCount } }", &json!({}));
    for filter in [
        json!(null),
        json!({}),
        json!({"and": []}),
        json!({"or": [{}]}),
        json!({"not": {}}),
        json!({"not": null}),
        json!({"name": null}),
        json!({"name": {}}),
        json!({"name": {"mode": "INSENSITIVE"}}),
        json!({"name": {"eq": null}}),
        json!({"nick": {"eq": null}}),
        json!({"nick": {"in": null}}),
        json!({"mentor": null}),
        json!({"mentor": {}}),
        json!({"pupils": {}}),
        json!({"pupils": {"some": null}}),
        json!({"pupils": {"every": {}}}),
    ] {
        assert_eq!(shop.data(text, &json!({"w": filter})), all, "{filter}");
    }
    for filter in [
        json!({"or": []}),
        json!({"and": [null]}),
        json!({"nick": {"in": [null]}}),
        json!({"secret": {"eq": "x"}}),
        json!({"name": {"isNull": true}}),
        json!({"rank": {"contains": "1"}}),
    ] {
        refused(&shop, text, &json!({"w": filter}));
    }
    // A single condition stands for a list of one, and an empty list of values contains none.
    let total = |filter: Value| {
        shop.json(text, &json!({"w": filter}))["data"]["authors"]["totalCount"].clone()
    };
    assert_eq!(total(json!({"and": {"rank": {"eq": 3}}})), 2);
    assert_eq!(total(json!({"rank": {"in": []}})), 0);
    assert_eq!(total(json!({"nick": {"notIn": []}})), 2);
    assert_eq!(total(json!({"nick": {"contains": ""}})), 0);
    assert_eq!(total(json!({"name": {"startsWith": ""}})), 2);
}

#[test]
fn an_invalid_value_is_null_with_an_error_if_the_field_is_nullable() {
    // PostgreSQL enforces its types and checks for every program.
    if driver() != Driver::Sqlite {
        return;
    }
    let shop = spoilt(
        "UPDATE authors SET born = 'long ago', motto = CAST(x'FF' AS TEXT) WHERE name = 'Ann'",
    );
    for list in ["authors(first: 2)", "authors(last: 2)"] {
        for fields in
            ["nodes { name born motto }", "pageInfo { hasNextPage } nodes { name born motto }"]
        {
            let found = with_errors(&shop, &format!("{{ {list} {{ {fields} }} }}"));
            assert!(found.contains(r#"{"born":null,"motto":null,"name":"Ann"}"#), "{found}");
            assert!(
                found.contains(r#"["authors","nodes",1,"born"] born of Author 0190b4f4-0000-7000-8000-00000000000a is a string of another form in the database, but must be a Date such as 2026-11-22"#),
                "{found}"
            );
            assert!(
                found.contains(
                    r#"["authors","nodes",1,"motto"] motto of Author 0190b4f4-0000-7000-8000-00000000000a is a string whose bytes are not UTF-8 in the database, but must be a String"#
                ),
                "{found}"
            );
        }
    }
    // It matches nothing, and causes no error.
    let text =
        "{ authors(where: {motto: {contains: \"O\", mode: INSENSITIVE}}) { nodes { name } } }";
    assert_eq!(shop.data(text, &json!({})), r#"{"authors":{"nodes":[{"name":"Ben"}]}}"#);
}

#[test]
fn an_invalid_value_nulls_the_nearest_nullable_field() {
    // PostgreSQL enforces its types and checks for every program.
    if driver() != Driver::Sqlite {
        return;
    }
    let shop = spoilt("UPDATE books SET kind = 'COMIC' WHERE id = 2");
    let text = format!(
        "{{ ben: author(id: \"{BEN}\") {{ name favourite {{ title author {{ written {{ nodes {{ title kind }} }} }} }} rank }}
            ann: author(id: \"{ANN}\") {{ name written(first: 1) {{ nodes {{ kind }} }} }} }}"
    );
    insta::assert_snapshot!(with_errors(&shop, &text), @r#"
    {"ann":{"name":"Ann","written":{"nodes":[{"kind":"NOVEL"}]}},"ben":{"favourite":null,"name":"Ben","rank":3}}
    ["ben","favourite","author","written","nodes",1,"kind"] kind of Book 2 is another string in the database, but must be a value of the enum Kind
    "#);
    let text = format!(
        "{{ ann: author(id: \"{ANN}\") {{ name written {{ edges {{ node {{ id }} }} pageInfo {{ hasNextPage }} nodes {{ kind }} }} }}
            ben: author(id: \"{BEN}\") {{ name }} }}"
    );
    insta::assert_snapshot!(with_errors(&shop, &text), @r#"
    {"ann":null,"ben":{"name":"Ben"}}
    ["ann","written","nodes",1,"kind"] kind of Book 2 is another string in the database, but must be a value of the enum Kind
    "#);
    insta::assert_snapshot!(with_errors(&shop, "{ authors { totalCount } books { nodes { id kind } } }"), @r#"
    null
    ["books","nodes",1,"kind"] kind of Book 2 is another string in the database, but must be a value of the enum Kind
    "#);
}

#[test]
fn a_dangling_relation_is_a_field_error() {
    // PostgreSQL enforces its types and checks for every program.
    if driver() != Driver::Sqlite {
        return;
    }
    let shop = spoilt("DELETE FROM books WHERE id = 2");
    let text =
        format!("{{ author(id: \"{BEN}\") {{ name favourite {{ title }} favouriteId rank }} }}");
    insta::assert_snapshot!(with_errors(&shop, &text), @r#"
    {"author":{"favourite":null,"favouriteId":"2","name":"Ben","rank":3}}
    ["author","favourite"] favourite of Author 0190b4f4-0000-7000-8000-00000000000b points to a row that does not exist
    "#);
    let shop = spoilt(&format!("DELETE FROM authors WHERE id = '{ANN}'"));
    insta::assert_snapshot!(with_errors(&shop, "{ book(id: 1) { title author { name } } }"), @r#"
    {"book":null}
    ["book","author"] author of Book 1 points to a row that does not exist
    "#);
    let filter = "{ books(where: {not: {author: {name: {eq: \"x\"}}}}) { totalCount } }";
    assert_eq!(shop.data(filter, &json!({})), r#"{"books":{"totalCount":3}}"#);
}

#[test]
fn json_null_does_not_satisfy_a_required_field() {
    let shop = Shop::of("type Note @entity { id: ID! @id text: JSON! more: JSON }");
    shop.outsider.execute("INSERT INTO notes (id, text, more) VALUES ('a', ' null', 'null')");
    assert_eq!(shop.data("{ note(id: \"a\") { more } }", &json!({})), r#"{"note":{"more":null}}"#);
    insta::assert_snapshot!(with_errors(&shop, "{ note(id: \"a\") { id text } }"), @r#"
    {"note":null}
    ["note","text"] text of Note a has null in the database, but is not nullable
    "#);
}

#[test]
fn a_write_whose_answer_cannot_be_read_is_rolled_back() {
    // PostgreSQL enforces its types and checks for every program.
    if driver() != Driver::Sqlite {
        return;
    }
    let shop = spoilt(
        "UPDATE books SET kind = 'COMIC' WHERE id = 2; UPDATE authors SET born = 'long ago'",
    );
    for selection in
        ["born", "favourite { kind }", "favourite { author { written { nodes { kind } } } }"]
    {
        let text = format!(
            "mutation {{ updateAuthor(id: \"{BEN}\", patch: {{name: \"Bob\"}}) {{ id {selection} }} }}"
        );
        let errors = shop.run(&text, &json!({})).unwrap_err();
        assert_eq!(errors[0].code, Code::InternalServerError);
        assert_eq!(
            errors[0].path.len(),
            if selection == "born" { 2 } else { errors[0].path.len().max(3) },
            "{errors:?}"
        );
    }
    let name = format!("{{ author(id: \"{BEN}\") {{ name }} }}");
    assert_eq!(shop.data(&name, &json!({})), r#"{"author":{"name":"Ben"}}"#);
}

#[test]
fn a_key_that_no_row_can_have_is_answered_with_null() {
    let shop = small();
    for id in ["", "7", "x", "0190b4f4", "9999999999999999999999", "-0", "01"] {
        assert_eq!(
            shop.data("query($id: ID!) { author(id: $id) { name } }", &json!({"id": id})),
            r#"{"author":null}"#
        );
        assert_eq!(
            shop.data("query($id: ID!) { book(id: $id) { title } }", &json!({"id": id})),
            r#"{"book":null}"#
        );
    }
    let upper = ANN.to_uppercase();
    assert_eq!(
        shop.data("query($id: ID!) { author(id: $id) { name } }", &json!({"id": upper})),
        r#"{"author":{"name":"Ann"}}"#
    );
}

#[test]
fn a_selection_of_the_maximum_depth_is_answered() {
    let shop = Shop::bookshop();
    let tables = any_tables(&shop.model, 2, &mut Choices::new(&[2; 60]));
    shop.fill(&tables);
    // `authors { nodes { mentor { mentor { … name } } } }`: 32 nested fields.
    let mentors = "mentor { ".repeat(29);
    let text = format!("{{ authors {{ nodes {{ {mentors} name {} }} }} }}", "} ".repeat(29));
    shop.data(&text, &json!({}));
    let text =
        format!("{{ authors {{ nodes {{ mentor {{ {mentors} name {} }} }} }}", "} ".repeat(30));
    assert_eq!(shop.run(&text, &json!({})).unwrap_err()[0].code, Code::QueryTooComplex);
}

#[test]
fn a_float_of_any_precision_is_found_again() {
    let shop = small();
    let sql = format!(
        "INSERT INTO books (id, title, price, score, made, day, author_id)
         VALUES (4, '', 0, ?, '2026-11-22T09:30:00.000Z', '2026-11-22', '{ANN}')"
    );
    let text = "query($in: [Float!], $eq: Float) {
      among: books(where: {score: {in: $in}}) { nodes { score } }
      equal: books(where: {score: {eq: $eq}}) { nodes { score } }
    }";
    check(300, proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, |float| {
        shop.outsider.execute(&sql.replace('?', &format!("'{float:?}'")));
        let found = shop.json(text, &json!({"in": [float], "eq": float}));
        shop.outsider.execute("DELETE FROM books WHERE id > 3");
        let expected = json!({"nodes": [{"score": float}]});
        prop_assert_eq!(&found["data"], &json!({"among": expected, "equal": expected}));
        Ok(())
    });
}
