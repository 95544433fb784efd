//! Columns may have any name: it does not change what a statement means.

use serde_json::{Value as Json, json};

use crate::shop::Shop;

/// SQL keywords, names that SQLite itself uses, names in our statements, and names that must be
/// quoted.
const NAMES: [&str; 35] = [
    "true",
    "FALSE",
    "null",
    "current_date",
    "CURRENT_TIMESTAMP",
    "rowid",
    "_rowid_",
    "oid",
    "new",
    "OLD",
    "excluded",
    "value",
    "key",
    "t",
    "t1",
    "v",
    "select",
    "order",
    "group",
    "not",
    "is",
    "exists",
    "raise",
    "replace",
    "a b",
    "a.b",
    "it's",
    "`x`",
    "[y]",
    "?1",
    ":p",
    "main",
    "seq",
    "entity",
    "default",
];

fn ids(shop: &Shop, list: &str, filter: &str) -> Vec<String> {
    let text = format!(
        "{{ it: {list}(where: {filter}, orderBy: [{{id: ASC}}]) {{ nodes {{ id }} totalCount }} }}"
    );
    let answer = shop.json(&text, &json!({}));
    let nodes = answer["data"]["it"]["nodes"].as_array().unwrap();
    let ids: Vec<String> =
        nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answer["data"]["it"]["totalCount"], ids.len(), "{filter}");
    ids
}

#[test]
fn columns_may_be_named_like_sql_keywords() {
    for name in NAMES {
        let shown = json!(name).to_string();
        let shop = Shop::of(&format!(
            "type Thing @entity {{ id: ID! @id  a: String @index @column(name: {shown})  on: Boolean  ofs: [Of!]! @derivedFrom(field: \"thing\") }}
             type Flag @entity {{ id: ID! @id  on: Boolean @unique @column(name: {shown}) }}
             type Keyed @entity(plural: \"keyeds\") {{ id: ID! @id @column(name: {shown})  n: Int }}
             type Of @entity {{ id: ID! @id  thing: Thing @relation(column: {shown}, onDelete: CASCADE) }}"
        ));
        for (id, a) in [("1", json!("x")), ("2", json!("y")), ("3", Json::Null)] {
            let variables = json!({"id": id, "a": a});
            shop.data(
                "mutation($id: ID!, $a: String) { createThing(input: {id: $id, a: $a}) { id } }",
                &variables,
            );
            shop.data("mutation($id: ID!) { createKeyed(input: {id: $id, n: 1}) { id } createOf(input: {id: $id, thingId: $id}) { id } }", &json!({"id": id}));
        }
        shop.data("mutation { a: createFlag(input: {id: \"1\", on: true}) { id } b: createFlag(input: {id: \"2\", on: false}) { id } c: createFlag(input: {id: \"3\"}) { id } }", &json!({}));
        for (filter, expected) in [
            ("{a: {eq: \"x\"}}", &["1"][..]),
            ("{a: {neq: \"x\"}}", &["2", "3"]),
            ("{not: {a: {eq: \"x\"}}}", &["2", "3"]),
            ("{not: {not: {a: {eq: \"x\"}}}}", &["1"]),
            ("{a: {notIn: [\"x\", \"z\"]}}", &["2", "3"]),
            ("{a: {in: [\"x\", \"y\"]}}", &["1", "2"]),
            ("{not: {a: {isNull: true}}}", &["1", "2"]),
            ("{or: [{a: {gt: \"x\"}}, {a: {startsWith: \"x\"}}]}", &["1", "2"]),
            ("{ofs: {every: {thing: {a: {neq: \"y\"}}}}}", &["1", "3"]),
            ("{ofs: {none: {thing: {a: {endsWith: \"y\"}}}}}", &["1", "3"]),
        ] {
            assert_eq!(ids(&shop, "things", filter), expected, "{name}: {filter}");
        }
        for (filter, expected) in [
            ("{on: {neq: true}}", &["2", "3"][..]),
            ("{not: {on: {eq: false}}}", &["1", "3"]),
            ("{on: {eq: true}}", &["1"]),
        ] {
            assert_eq!(ids(&shop, "flags", filter), expected, "{name}: {filter}");
        }
        // Pages over a column with NULLs, whose condition may be NULL.
        let (mut after, mut seen) = (Json::Null, Vec::new());
        loop {
            let page = shop.json(
                "query($after: String) { things(first: 1, after: $after, orderBy: [{a: DESC_NULLS_FIRST}]) {
                   edges { cursor node { id } } pageInfo { hasPreviousPage } } }",
                &json!({"after": after}),
            );
            let Some(edge) = page["data"]["things"]["edges"].get(0) else { break };
            seen.push(edge["node"]["id"].as_str().unwrap().to_owned());
            after = edge["cursor"].clone();
        }
        assert_eq!(seen, ["3", "2", "1"], "{name}");
        let one = "{ thing(id: \"1\") { etag a } keyed(id: \"1\") { etag } }";
        let before = shop.json(one, &json!({}));
        let token = &before["data"]["thing"]["etag"];
        let write = "mutation($token: String) { updateThing(id: \"1\", patch: {a: \"z\"}, expectedEtag: $token) { a etag } }";
        assert_eq!(
            shop.json(write, &json!({"token": token}))["data"]["updateThing"]["a"],
            "z",
            "{name}"
        );
        assert!(shop.run(write, &json!({"token": token})).is_err(), "{name}");
        assert_ne!(shop.json(one, &json!({}))["data"]["thing"]["etag"], *token, "{name}");
        let keyed = json!({"token": before["data"]["keyed"]["etag"]});
        let write = "mutation($token: String) { updateKeyed(id: \"1\", patch: {n: 2}, expectedEtag: $token) { id } }";
        assert!(shop.run(write, &keyed).is_ok() && shop.run(write, &keyed).is_err(), "{name}");
        shop.data("mutation { deleteThing(id: \"1\") { id } }", &json!({}));
        assert_eq!(ids(&shop, "ofs", "{id: {neq: \"0\"}}"), ["2", "3"], "{name}");
    }
}
