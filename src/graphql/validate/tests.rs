//! Which documents are refused, with which message at which position, and that none of them crashes
//! the server.

use std::fmt::Write;

use proptest::prelude::*;

use super::limits::MAX_ROOT_FIELDS;
use super::text::MAX_DOCUMENT_BYTES;
use super::*;
use crate::graphql::error::MAX_ERRORS;
use crate::graphql::fixture::marketplace;
use crate::graphql::schema::build_schema;
use crate::syntax::MAX_TOKENS;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn errors_of(text: &str) -> Vec<GraphqlError> {
    let api = build_schema(&marketplace()).unwrap();
    run(validate(&api, text)).err().unwrap_or_default()
}

/// One line per error: positions, code, message.
fn verdict(text: &str) -> String {
    let mut lines = String::new();
    for error in errors_of(text) {
        let places: Vec<_> =
            error.locations.iter().map(|(line, column)| format!("{line}:{column}")).collect();
        writeln!(lines, "{} {} {}", places.join(" "), error.code.as_str(), error.message).unwrap();
    }
    lines
}

#[track_caller]
fn accepts(text: &str) {
    assert_eq!(verdict(text), "", "{text}");
}

/// The document has exactly these errors, each identified by its code's initials (P, V, Q) and a
/// part of its message.
#[track_caller]
fn refuses(text: &str, expected: &[&str]) {
    let found = verdict(text);
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}\n{found}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{text}\nexpected {expected:?} in {line:?}");
    }
}

#[test]
fn ordinary_documents_are_valid() {
    accepts("{ merchants { totalCount } }");
    accepts(
        r#"query Page($first: Int = 20, $where: ProductWhere!, $ids: [ID!]!, $dir: OrderDirection!, $more: Boolean!) {
             products(first: $first, where: {and: [$where, {id: {in: $ids}}]}, orderBy: {name: $dir}) {
               nodes { ...Card reviews @include(if: $more) { nodes { stars } } }
               pageInfo { hasNextPage endCursor }
             }
           }
           fragment Card on Product { id etag name price merchant { name products { totalCount } } }"#,
    );
    accepts(
        r#"mutation Edit($id: ID!, $patch: ProductPatch!, $etag: String) {
             updateProduct(id: $id, patch: $patch, expectedEtag: $etag) { id etag }
           }"#,
    );
    accepts(
        "query A { merchants { totalCount } } query B { products { totalCount } } mutation C { deleteTag(slug: 1) { slug } }",
    );
    accepts(
        "{ productByMerchantAndSku(merchantId: 1, sku: \"x\") { id } merchantByName(name: \"x\") { id } }",
    );
    accepts(
        "mutation { createProduct(input: {sku: \"a\", name: \"b\", merchantId: \"1\", status: LIVE, attributes: {deep: [1, {x: null}]}}) { id } }",
    );
}

#[test]
fn syntax_errors_are_reported_with_their_location() {
    refuses("{ merchants { ", &["1:15 GRAPHQL_PARSE_FAILED syntax error"]);
    refuses("", &["1:1 GRAPHQL_PARSE_FAILED"]);
    refuses("# nothing\n", &["GRAPHQL_PARSE_FAILED"]);
    refuses(
        "fragment F on Product { id }",
        &["GRAPHQL_VALIDATION_FAILED the document has no operation"],
    );
    refuses("{ a \"\"\" }", &["1:5 GRAPHQL_PARSE_FAILED"]);
    refuses(
        "type Query { a: Int }",
        &["1:1 GRAPHQL_VALIDATION_FAILED a document has operations and fragments"],
    );
}

#[test]
fn all_errors_are_reported_in_document_order() {
    refuses(
        "query Q($unused: Int) {\n  merchants(frist: 1) { total }\n  product { id { x } }\n  ...Missing\n}",
        &[
            "1:9 GRAPHQL_VALIDATION_FAILED Variable \"$unused\" is not used",
            "2:13 GRAPHQL_VALIDATION_FAILED Unknown argument \"frist\"",
            "2:25 GRAPHQL_VALIDATION_FAILED Unknown field \"total\"",
            "3:3 GRAPHQL_VALIDATION_FAILED",
            "3:13 GRAPHQL_VALIDATION_FAILED",
            "3:18 GRAPHQL_VALIDATION_FAILED Unknown field \"x\"",
            "4:3 GRAPHQL_VALIDATION_FAILED Unknown fragment",
        ],
    );
}

#[test]
fn what_is_misspelt_gets_a_suggestion() {
    for (text, expected) in [
        (
            "{ prodcts { totalCount } }",
            "Unknown field \"prodcts\" on type \"Query\". Did you mean \"products\"",
        ),
        (
            "{ products(frist: 1) { totalCount } }",
            "1:12 GRAPHQL_VALIDATION_FAILED Unknown argument \"frist\" on field \"products\" of type \"Query\". Did you mean \"first\"?",
        ),
        (
            "query($w: ProductWher) { products(where: $w) { totalCount } }",
            "1:11 GRAPHQL_VALIDATION_FAILED Unknown type \"ProductWher\". Did you mean \"ProductWhere\"?",
        ),
        (
            "query($n: Intt) { products(first: $n) { totalCount } }",
            "Unknown type \"Intt\". Did you mean \"Int\"?",
        ),
        (
            "{ products { nodes { ... on Prodct { id } } } }",
            "Unknown type \"Prodct\". Did you mean \"Product\"?",
        ),
        (
            "{ products { nodes { id @skpi(if: true) } } }",
            "Unknown directive \"skpi\". Did you mean \"skip\"?",
        ),
        (
            "{ products { nodes { id @skip(iff: true) } } }",
            "Unknown argument \"iff\" on directive \"skip\". Did you mean \"if\"?",
        ),
        (
            "query Q($first: Int) { products(first: $frist) { totalCount } }",
            "1:33 1:1 GRAPHQL_VALIDATION_FAILED Variable \"$frist\" is not defined by operation \"Q\". Did you mean \"$first\"?",
        ),
        (
            "{ products { nodes { ...Crad } } } fragment Card on Product { id }",
            "Unknown fragment: \"Crad\". Did you mean \"Card\"?",
        ),
    ] {
        let found = verdict(text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
    assert!(!verdict("{ ...Zzzzz }").contains("Did you mean"));
}

#[test]
fn operations_and_fragments_have_one_name_each() {
    refuses(
        "query A { tags { totalCount } } query A { tags { totalCount } }",
        &["VALIDATION_FAILED operation A is defined twice"],
    );
    refuses(
        "{ tags { totalCount } } query A { tags { totalCount } }",
        &["VALIDATION_FAILED an operation without a name"],
    );
    refuses(
        "{ tags { totalCount } } { tags { totalCount } }",
        &[
            "1:1 GRAPHQL_VALIDATION_FAILED an operation without a name",
            "1:25 GRAPHQL_VALIDATION_FAILED an operation",
        ],
    );
    refuses(
        "{ tags { ...F } } fragment F on TagConnection { totalCount } fragment F on TagConnection { totalCount }",
        &["VALIDATION_FAILED fragment F is defined twice"],
    );
    refuses(
        "subscription { tags { totalCount } }",
        &["Schema is not configured for subscriptions"],
    );
    refuses(
        "subscription S { tags { totalCount } } query Q { tags { totalCount } }",
        &["Schema is not configured for subscriptions"],
    );
}

#[test]
fn fragments_fit_and_do_not_contain_themselves() {
    refuses(
        "{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
        &["within itself"],
    );
    refuses("{ tags { totalCount } } fragment F on Query { ...F }", &["within itself"]);
    refuses(
        "{ tags { totalCount } } fragment F on Query { tags { totalCount } }",
        &["is never used"],
    );
    refuses("{ tags { ... on Product { id } } }", &["cannot be spread"]);
    refuses("{ tags { ... on Nothing { id } } }", &["Unknown type \"Nothing\""]);
    refuses(
        "{ tags { nodes { ... on Status { id } } } }",
        &["cannot be spread", "non composite", "Unknown field"],
    );
}

#[test]
fn objects_need_a_selection_and_scalars_have_none() {
    refuses("{ tags }", &["1:3 GRAPHQL_VALIDATION_FAILED"]);
    refuses("{ tags { nodes } }", &["1:10 GRAPHQL_VALIDATION_FAILED"]);
    refuses("{ tags { totalCount { x } } }", &["VALIDATION_FAILED", "VALIDATION_FAILED"]);
}

#[test]
fn input_keys_are_given_once() {
    refuses(
        "{ products(where: {sku: {eq: \"a\"}, sku: {eq: \"b\"}}) { totalCount } }",
        &["1:36 GRAPHQL_VALIDATION_FAILED There can be only one input field named \"sku\""],
    );
    refuses(
        "query($w: ProductWhere = {id: {eq: 1 eq: 2}}) { products(where: $w) { totalCount } }",
        &["1:38 GRAPHQL_VALIDATION_FAILED There can be only one input field named \"eq\""],
    );
    // Aliases, strings and comments are not keys.
    accepts(
        "{ a: tags { totalCount } b: tags(where: {slug: {eq: \"slug: slug:\" # slug:\n}}) { x: totalCount y: totalCount } }",
    );
    accepts(
        "{ tags(where: {or: [{slug: {eq: \"\"\"eq: \\\"\"\" eq: \"\"\"}}, {slug: {eq: 1}}]}) { totalCount } }",
    );
    refuses(
        "{ tags(first: 1, first: 1) { totalCount } }",
        &["only be one argument named \"first\""],
    );
    refuses("query($a: Int, $a: Int) { tags(first: $a) { totalCount } }", &["variable named"]);
}

#[test]
fn literals_fit_however_deep_they_stand() {
    refuses(
        "{ tags(first: \"1\") { totalCount } }",
        &["argument \"first\": expected \"Int\", found \"1\""],
    );
    refuses("{ tags(first: 3000000000) { totalCount } }", &["expected \"Int\""]);
    refuses("{ tags(where: 5) { totalCount } }", &["expected \"TagWhere\", found 5"]);
    refuses(
        "{ tags(where: {slug: \"x\"}) { totalCount } }",
        &["argument \"where.slug\": expected \"IDFilter\""],
    );
    refuses(
        "{ products(where: {status: {eq: \"LIVE\"}}) { totalCount } }",
        &["\"where.status.eq\": expected \"Status\""],
    );
    refuses(
        "{ products(where: {status: {in: [LIVE, LIFE]}}) { totalCount } }",
        &[
            "\"where.status.in.1\": \"LIFE\" is not a value of enum \"Status\". Did you mean \"LIVE\"?",
        ],
    );
    refuses(
        "{ products(where: {and: [{not: {sku: {eq: 1}}}]}) { totalCount } }",
        &["\"where.and.0.not.sku.eq\": expected \"String\""],
    );
    refuses(
        "{ products(where: {and: [null]}) { totalCount } }",
        &["\"where.and.0\": expected \"ProductWhere!\", found null"],
    );
    refuses(
        "{ products(where: {skuu: {eq: \"a\"}}) { totalCount } }",
        &["\"ProductWhere\" has no field \"skuu\". Did you mean \"sku\"?"],
    );
    refuses(
        "{ products(where: {merchant: {email: {eq: \"a\"}}}) { totalCount } }",
        &["\"MerchantWhere\" has no field \"email\""],
    );
    refuses(
        "mutation($sku: String!) { createProduct(input: {sku: $sku}) { id } }",
        &["field \"merchantId\" of required", "field \"name\" of required"],
    );
    refuses(
        "mutation { createTag(input: {slug: null}) { slug } }",
        &["expected \"ID!\", found null"],
    );
    refuses(
        "mutation { createReview(input: {id: 5}) { id } }",
        &["\"ReviewInput\" has no field \"id\""],
    );
    refuses("mutation { updateReview(id: 1, patch: {}) { id } }", &["expectedEtag"]);
    refuses(
        "query($w: ProductWhere = {sku: {eq: 1}}) { products(where: $w) { totalCount } }",
        &["variable \"w.sku.eq\": expected \"String\""],
    );
    refuses(
        "query($n: Int! = null) { tags(first: $n) { totalCount } }",
        &["variable \"n\": expected \"Int!\", found null"],
    );
}

#[test]
fn variables_fit_however_deep_they_stand() {
    let filter = |declared: &str, value: &str| {
        format!("query({declared}) {{ products(where: {value}) {{ totalCount }} }}")
    };
    refuses(
        &filter("$x: Int", "{sku: {eq: $x}}"),
        &[
            "Variable \"$x\" of type \"Int\" used in position expecting type \"String\": argument \"where.sku.eq\"",
        ],
    );
    refuses(
        &filter("$x: String", "{sku: {in: [$x]}}"),
        &["\"$x\" of type \"String\" used in position expecting type \"String!\""],
    );
    refuses(&filter("$x: String!", "{sku: {in: $x}}"), &["expecting type \"[String!]\""]);
    refuses(&filter("$x: [String]", "{sku: {in: $x}}"), &["expecting type \"[String!]\""]);
    accepts(&filter("$x: String!", "{sku: {in: [$x, \"b\"]}}"));
    accepts(&filter("$x: String = \"a\"", "{sku: {in: [\"b\"], eq: $x}}"));
    accepts(&filter("$x: [String!]!", "{sku: {in: $x}}"));
    accepts(&filter("$x: [String!]", "{sku: {in: $x}}"));
    refuses(
        &filter("$x: ProductWhere", "{and: {or: $x}}"),
        &["expecting type \"[ProductWhere!]\""],
    );
    refuses(
        "query($id: ID) { tag(slug: $id) { slug } }",
        &["\"$id\" of type \"ID\" used in position expecting type \"ID!\""],
    );
    accepts("query($id: ID = 1) { tag(slug: $id) { slug } }");
    refuses("query($id: ID = null) { tag(slug: $id) { slug } }", &["expecting type \"ID!\""]);
    refuses("query { products(where: {sku: {eq: $y}}) { totalCount } }", &["$y\" is not defined"]);
    refuses(
        "query Q { ...F } fragment F on Query { products(where: {sku: {in: [$y]}}) { totalCount } }",
        &["$y\" is not defined by operation \"Q\""],
    );
    // Each operation has its own variables for a fragment that both use.
    refuses(
        "query A($x: Int) { ...F } query B($x: String) { ...F } fragment F on Query { tags(first: $x) { totalCount } }",
        &["\"$x\" of type \"String\" used in position expecting type \"Int\""],
    );
    refuses(
        "query($x: Product) { tags { totalCount } }",
        &["is not used", "non-input type \"Product\""],
    );
    refuses(
        "query($x: [Nothing!] = [1]) { tags { totalCount } }",
        &["1:11 GRAPHQL_VALIDATION_FAILED Unknown type \"Nothing\""],
    );
    refuses(
        "query($x: Int @skip(if: true)) { tags(first: $x) { totalCount } }",
        &["may not be used on a variable"],
    );
    accepts(
        "mutation($j: JSON, $x: Int) { createProduct(input: {sku: \"a\", name: \"b\", merchantId: 1, attributes: {a: [$x, $j]}}) { id } }",
    );
}

#[test]
fn one_of_has_exactly_one_key() {
    let order = |declared: &str, value: &str| {
        format!("query Q{declared} {{ products(orderBy: {value}) {{ totalCount }} }}")
    };
    accepts(&order("", "{name: ASC}"));
    accepts(&order("", "[{name: ASC}, {price: DESC_NULLS_LAST}]"));
    accepts(&order("($d: OrderDirection!)", "{name: $d}"));
    refuses(&order("", "{}"), &["exactly one field of \"ProductOrderBy\""]);
    refuses(&order("", "[{name: ASC, id: ASC}]"), &["exactly one field of \"ProductOrderBy\""]);
    refuses(&order("", "{name: null}"), &["exactly one field of \"ProductOrderBy\""]);
    refuses(
        &order("($d: OrderDirection)", "{name: $d}"),
        &["used in position expecting type \"OrderDirection!\""],
    );
    refuses(
        &order("($d: OrderDirection = ASC)", "{name: $d}"),
        &["used in position expecting type \"OrderDirection!\""],
    );
    refuses(&order("", "{attributes: ASC}"), &["has no field \"attributes\""]);
}

#[test]
fn directives_are_known_and_complete() {
    accepts(
        "query($x: Boolean!) { tags @skip(if: $x) { totalCount ... @include(if: true) { totalCount } } }",
    );
    refuses("{ tags @cached { totalCount } }", &["Unknown directive \"cached\""]);
    refuses("query @skip(if: true) { tags { totalCount } }", &["may not be used on"]);
    refuses("{ tags @skip { totalCount } }", &["VALIDATION_FAILED"]);
    refuses(
        "{ tags @skip(if: 1) { totalCount } }",
        &["argument \"if\": expected \"Boolean\", found 1"],
    );
    refuses(
        "{ tags @skip(if: true, unless: false) { totalCount } }",
        &["Unknown argument \"unless\""],
    );
    refuses("{ tags @skip(if: true) @skip(if: false) { totalCount } }", &["Duplicate directive"]);
    refuses(
        "query($x: Boolean) { tags @skip(if: $x) { totalCount } }",
        &["expecting type \"Boolean!\""],
    );
    refuses(
        "query($x: Int!) { tags { totalCount @include(if: $x) } }",
        &["expecting type \"Boolean!\""],
    );
}

#[test]
fn typename_is_checked_like_other_fields() {
    accepts("{ __typename tags { __typename nodes { __typename } } }");
    accepts("query($x: Boolean!) { tags { __typename @include(if: $x) } }");
    accepts("query($x: Boolean!) { ...F } fragment F on Query { __typename @include(if: $x) }");
    refuses("{ __typename @nothing }", &["Unknown directive \"nothing\""]);
    refuses("{ __typename(a: 1) }", &["Unknown argument \"a\" on field \"__typename\""]);
    refuses("{ __typename { x } }", &["must not have a selection"]);
    refuses("query($x: Int!) { __typename @include(if: $x) }", &["expecting type \"Boolean!\""]);
}

#[test]
fn fields_with_the_same_key_are_the_same() {
    accepts(
        "{ tags { totalCount } tags { nodes { slug } } ... on Query { tags { totalCount nodes { x: slug } } } }",
    );
    accepts("{ a: tag(slug: 1) { slug } b: tag(slug: 2) { slug } }");
    refuses(
        "{ tags { x: totalCount } tags { x: __typename } }",
        &["1:10 1:33 GRAPHQL_VALIDATION_FAILED Fields \"x\" conflict"],
    );
    refuses(
        "{ tag(slug: 1) { slug } tag(slug: 2) { slug } }",
        &["Fields \"tag\" conflict because they have differing arguments"],
    );
    refuses(
        "{ x: tags { totalCount } ... { x: products { totalCount } } }",
        &["are different fields"],
    );
    refuses(
        "{ product(id: 1) { merchant { x: id } ...F } } fragment F on Product { merchant { x: name } }",
        &["Fields \"x\" conflict"],
    );
    accepts(
        "{ products(where: {sku: {eq: \"a\"}, name: {eq: \"b\"}}) { totalCount } products(where: {name: {eq: \"b\"}, sku: {eq: \"a\"}}) { totalCount } }",
    );
}

#[test]
fn documents_beyond_the_limits_are_refused() {
    refuses(
        &format!("{{ tags {{ totalCount }} }} #{}", "x".repeat(MAX_DOCUMENT_BYTES)),
        &["QUERY_TOO_COMPLEX the document has"],
    );
    for (begin, open) in [
        ("", "{a"),
        ("{a(b:", "["),
        ("{a(b:", "{c:"),
        ("", "{...{a(b:1)@c "),
        ("query($a:", "["),
        ("{a@b(c:", "["),
    ] {
        refuses(
            &(begin.to_owned() + &open.repeat(100_000 / open.len())),
            &["QUERY_TOO_COMPLEX brackets nest deeper"],
        );
    }
    refuses(&"{".repeat(100_000), &["1:2 GRAPHQL_PARSE_FAILED"]);
    refuses(
        &format!("{{a(b:[{}])}}", "0 ".repeat(MAX_TOKENS)),
        &["QUERY_TOO_COMPLEX more than 100000"],
    );
    let nested = |levels: usize| {
        format!(
            "{{ products {} }}",
            "{ nodes { merchant { products".repeat(levels)
                + "{ totalCount"
                + &"}".repeat(3 * levels + 1)
        )
    };
    accepts(&nested(9));
    refuses(&nested(12), &["QUERY_TOO_COMPLEX fields nest deeper than 32"]);
    refuses(&nested(30), &["QUERY_TOO_COMPLEX"]);
    let roots: String =
        (0..=MAX_ROOT_FIELDS).map(|n| format!("a{n}: tags {{ totalCount }} ")).collect();
    refuses(&format!("{{ {roots} }}"), &["QUERY_TOO_COMPLEX an operation may have at most 100"]);
    // Each fragment spreads the next one twice: 2^30 spreads without a single field.
    let mut bomb = "{ ...F0 }".to_owned();
    for n in 0..30 {
        let next = n + 1;
        write!(bomb, "fragment F{n} on Query {{ ...F{next} ... {{ ...F{next} }} }}").unwrap();
    }
    refuses(&bomb, &["QUERY_TOO_COMPLEX the document selects more than 10000 fields"]);
    let chain: String =
        (0..5000).map(|n| format!("fragment F{n} on Query {{ ...F{} }}", n + 1)).collect();
    refuses(
        &format!("{{ ...F0 }} {chain} fragment F5000 on Query {{ __typename }}"),
        &["QUERY_TOO_COMPLEX fields and fragments nest deeper"],
    );
    let spreads = "...F ".repeat(20_000);
    refuses(
        &format!("{{ {spreads} }} fragment F on Query {{ __typename }}"),
        &["QUERY_TOO_COMPLEX"],
    );
    let used = "id ".repeat(2000);
    let others: String =
        (0..2000).map(|n| format!("fragment U{n} on Product {{ ...F }} ")).collect();
    refuses(
        &format!("{{ __typename }} fragment F on Product {{ {used} }} {others}"),
        &["QUERY_TOO_COMPLEX"],
    );
    let values = "$x ".repeat(2000);
    let operations: String = (0..100).map(|n| format!("query Q{n} {{ ...F }} ")).collect();
    refuses(
        &format!(
            "{operations} fragment F on Query {{ tags(where: {{slug: {{in: [{values}]}}}}) {{ totalCount }} }}"
        ),
        &["QUERY_TOO_COMPLEX the document has more than 100000 literals"],
    );
    let lists =
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    refuses(lists, &["QUERY_TOO_COMPLEX introspection nests lists"]);
}

#[test]
fn the_worst_documents_take_bounded_time() {
    let start = std::time::Instant::now();
    let wide: String =
        (0..60_000).map(|n| format!("a{n},")).collect::<String>().chars().take(240_000).collect();
    let worst = [
        format!("{{ tags(where: {{slug: {{{}}}}}) {{ totalCount }} }}", "eq:1 ".repeat(48_000)),
        format!(
            "{{ tags(where: {{{}}}) {{ totalCount }} }}",
            (0..20_000).map(|n| format!("k{n}:1 ")).collect::<String>()
        ),
        format!("{{ tags {{ {wide} }} }}"),
        format!("{{ tags {{ {} }} }}", "totalCount ".repeat(9_000)),
        format!("{{ tags {{ {} }} }}", "a: totalCount a: __typename ".repeat(4_000)),
        format!(
            "query({}) {{ tags {{ totalCount }} }}",
            (0..15_000).map(|n| format!("$a{n}: Int ")).collect::<String>()
        ),
        format!("{{ {} }}", "x".repeat(200_000)),
        format!("{{ tags(first: {}) {{ totalCount }} }}", "9".repeat(200_000)),
        "\"".repeat(250_000),
        "{a ".repeat(63) + &"...".repeat(80_000),
        format!("{{ {} }}", "... @skip(if: true) @include(if: true) { __typename } ".repeat(4_000)),
    ];
    for text in worst {
        let errors = run(validate(shared_api(), &text)).err().unwrap_or_default();
        assert!(
            errors.len() <= MAX_ERRORS && errors.iter().all(|error| error.message.len() < 1000)
        );
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn errors_are_bounded() {
    let unknown: String = (0..3000).map(|n| format!("f{n} ")).collect();
    assert_eq!(errors_of(&format!("{{ tags {{ {unknown} }} }}")).len(), MAX_ERRORS);
}

/// Documents that are nearly valid: pieces of real ones, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "!",
        "=",
        "$x",
        "$w",
        "@skip(if: $x)",
        "@include(if: true)",
        "...",
        "...F",
        "on Query",
        "query",
        "mutation",
        "subscription",
        "fragment F on Product",
        "fragment G on Query",
        "Q",
        "($x: Int = 1)",
        "($x: [ProductWhere!]! = [{sku: {eq: 1}}])",
        "products",
        "where:",
        "{sku: {eq: $x}}",
        "orderBy: {name: ASC}",
        "first: 1",
        "nodes",
        "merchant",
        "__typename",
        "__schema",
        "types",
        "fields",
        "id",
        "a: id",
        "\"s\"",
        "\"\"\"b\"\"\"",
        "-1.5e3",
        "null",
        "true",
        "LIVE",
        "#c\n",
        "\n",
        ",",
        "é",
        "\u{1F600}",
        "\\u00",
        "{ products { nodes { id } } }",
        "createTag(input: {slug: 1}) { slug }",
        "__type(name: \"Query\") { name }",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics(text in prop_oneof![pieces(), "\\PC{0,80}"]) {
        let api = shared_api();
        let _ = run(validate(api, &text));
    }

    #[test]
    fn mutilated_documents_do_not_panic(cut in 0_usize..600, length in 0_usize..20, insert in "[{}()\\[\\]:$!=@a-c\" .#\\\\é]{0,6}") {
        let mut text: Vec<char> = REAL.chars().collect();
        let from = cut.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, insert.chars());
        let text: String = text.into_iter().collect();
        let errors = run(validate(shared_api(), &text)).err().unwrap_or_default();
        for error in errors {
            for (line, column) in error.locations {
                prop_assert!(line >= 1 && column >= 1);
            }
        }
    }
}

const REAL: &str = r#"query Page($first: Int = 20, $w: ProductWhere = {sku: {contains: "a", mode: INSENSITIVE}}, $ids: [ID!]!, $x: Boolean!) {
  products(first: $first, where: {and: [$w, {id: {in: $ids}}]}, orderBy: [{name: ASC}]) {
    nodes { ...Card reviews(last: 3) @include(if: $x) { edges { cursor node { stars } } } __typename @skip(if: $x) }
    pageInfo { hasNextPage endCursor }
  }
  __schema { queryType { name } } # and a comment
}
fragment Card on Product { id etag n: name price merchant { name } }
mutation Edit($id: ID!, $patch: ProductPatch!) { updateProduct(id: $id, patch: $patch, expectedEtag: "*") { etag } }"#;

#[test]
fn the_document_that_is_mutilated_is_valid() {
    accepts(REAL);
}

fn shared_api() -> &'static Api {
    static API: std::sync::LazyLock<Api> =
        std::sync::LazyLock::new(|| build_schema(&marketplace()).unwrap());
    &API
}
