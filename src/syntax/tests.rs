//! What the grammar accepts and rejects, with which message at which position.
//! `tests/js/parse.test.mjs` compares with graphql-js.

use async_graphql::parser::types::{Selection, TypeKind, TypeSystemDefinition};
use async_graphql_value::Value;
use proptest::prelude::*;

use async_graphql::{Name, Pos};

use super::*;

/// The verdict on a document: empty, or `line:column message`.
fn verdict(text: &str) -> String {
    match parse(text, Purpose::Operations) {
        Ok(_) => String::new(),
        Err(error) => format!("{} {}", error.pos, error.message),
    }
}

/// The value of the argument in `{ a(b: …) }`.
fn value(literal: &str) -> Value {
    let text = format!("{{ a(b: {literal}) }}");
    let document =
        parse(&text, Purpose::Operations).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let Definition::Operation(_, operation) = &document.definitions[0] else {
        panic!("an operation")
    };
    let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else {
        panic!("a field")
    };
    field.node.arguments[0].1.node.clone()
}

#[test]
fn strings_have_the_values_of_the_specification() {
    let cases = [
        (r#""""#, ""),
        (r#""\uD83D\uDE00 \u{1F600} \u{41}""#, "😀 😀 A"),
        (r#""\" \\ \/ \b \f \n \r \t \u00e9""#, "\" \\ / \u{8} \u{c} \n \r \t é"),
        ("\"\"\"\"\"\"", ""),
        ("\"\"\"one line\"\"\"", "one line"),
        (
            "\"\"\"\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  \"\"\"",
            "Hello,\n  World!\n\nYours,\n  GraphQL.",
        ),
        ("\"\"\"\r\n  a\r    b\n\t \n\"\"\"", "a\n  b"),
        ("\"\"\"  first\n  second \\\"\"\" \\n\"\"\"", "  first\nsecond \"\"\" \\n"),
    ];
    for (literal, expected) in cases {
        assert_eq!(value(literal), Value::String(expected.into()), "{literal}");
    }
}

#[test]
fn numbers_and_names_are_tokenized() {
    assert_eq!(value("-0"), Value::Number(0.into()));
    assert_eq!(value("18446744073709551615"), Value::Number(u64::MAX.into()));
    assert_eq!(value("1.5e3").to_string(), "1500.0");
    for long in ["123456789012345678901234567890", "-9223372036854775809", "1e999"] {
        let Value::Binary(kept) = value(long) else { panic!("{long}") };
        assert_eq!(
            (long_number(&kept), long_integer(&kept).is_some()),
            (long, !long.contains('e'))
        );
    }
    for word in ["trueish", "falsey", "nullable", "on", "query"] {
        assert_eq!(value(word), Value::Enum(Name::new(word)));
    }
    assert_eq!((value("true"), value("null")), (Value::Boolean(true), Value::Null));
}

#[test]
fn the_whole_grammar_is_accepted() {
    let taken = [
        "query($a: ID ! = 1 @d, $b: [ ID! ] ! @d(x: [1]), $c: [[Int]]) { a }",
        "\"what it asks\" query Q(\"the id\" $id: ID!, \"\"\"more\"\"\" $n: Int = 1) { a } \"part\" fragment F on T { a }",
        "{ true: a, null, fragment: query { on mutation } ...onward ...on T @d { a } ... @d { a } ... { a } }",
        "\u{feff}query nullable{falsehood(trueish:nulls)} # end",
        "subscription on { type }",
        "fragment F on on { a } query query { a }",
        "{ a(b: [], c: {}, d: [{e: $f}] g: \"\"\"\"\"\") }",
        "extend type T @d extend schema @d type U enum E { A } directive @d repeatable on | FIELD | OBJECT query { a }",
        "interface I implements & A & B { a(b: Int = 1): [C!]! } union U = | A | B union V input N { \"x\" a: B = {c: 1} @d }",
    ];
    for text in taken {
        assert_eq!(verdict(text), "", "{text}");
    }
}

#[test]
fn input_outside_the_grammar_is_refused_with_a_clear_message() {
    let refused = [
        (
            "",
            "1:1 expected `query`, `mutation`, `subscription`, `fragment` or `{`, found the end of the document",
        ),
        (
            "queryOp0 { a }",
            "1:1 expected `query`, `mutation`, `subscription`, `fragment` or `{`, found `queryOp0`",
        ),
        ("query() { a }", "1:7 expected a variable such as `$name: Type`, found `)`"),
        (
            "query Q",
            "1:8 expected `{` and the fields of the operation, found the end of the document",
        ),
        ("query Q($a) { a }", "1:11 expected `:` and the variable's type, found `)`"),
        ("query Q($a: ) { a }", "1:13 expected a type, found `)`"),
        ("query Q($a: [Int) { a }", "1:17 expected `]`, found `)`"),
        (
            "query Q($a: Int = $b) { a }",
            "1:19 `$b` is a variable, and only constants are allowed here",
        ),
        (
            "query Q($a: Int @d = 1) { a }",
            "1:20 expected a variable such as `$name: Type`, found `=`",
        ),
        (
            "fragment on on T { a }",
            "1:10 a fragment cannot be called `on`; write `fragment Name on Type { … }`",
        ),
        ("fragment F { a }", "1:12 expected `on` and the type that the fragment is of, found `{`"),
        ("{ }", "1:3 expected a field, found `}`"),
        ("{\n  a {", "2:6 expected a field, found the end of the document"),
        ("{ a", "1:4 expected a field or `}`, found the end of the document"),
        ("{ a() }", "1:5 expected an argument such as `name: value`, found `)`"),
        ("{ a(b) }", "1:6 expected `:` and the argument's value, found `)`"),
        ("{ a(b: ) }", "1:8 expected a value, found `)`"),
        ("{ a(b: {c}) }", "1:10 expected `:` and the member's value, found `}`"),
        ("{ a: }", "1:6 expected the field that the alias is for, found `}`"),
        ("{ ... }", "1:7 expected the name of a fragment, `on` and a type, or `{`, found `}`"),
        ("{ a @ }", "1:7 expected the name of a directive, found `}`"),
        ("{ a(b: 01) }", "1:9 a number must not have leading zeros"),
        ("{ a(b: 1.) }", "1:10 expected a digit, found `)`"),
        ("{ a(b: 1x) }", "1:9 unexpected `x` after a number"),
        ("{ a(b: \"x) }\n", "1:8 the string has no closing quote"),
        ("{ a(b: \"\"\"x) }\n", "1:8 the string has no closing quote"),
        (r#"{ a(b: "é😀\q") }"#, r"1:12 `\q` is not a valid escape sequence"),
        (r#"{ a(b: "\uD83D") }"#, r"1:9 `\uD83D` is not a valid escape sequence"),
        (r#"{ a(b: "\u{110000}") }"#, r"1:9 `\u{110000` is not a valid escape sequence"),
        ("{ a(b: 'x') }", "1:8 unexpected character `'`; strings are written in double quotes"),
        ("{ a? }", "1:4 unexpected character `?`; a type without `!` is nullable already"),
        ("\"d\" { a }", "1:1 a description must be followed by the keyword `query`, not by `{`"),
        ("\"d\" ", "1:5 expected the definition that is described, found the end of the document"),
        ("\"d\" extend type T @d", "1:1 a description must be followed by a definition"),
        (
            "enum E { true }",
            "1:10 an enum cannot have the value `true`, which means something else",
        ),
        ("extend type T", "1:14 expected what the extension adds, found the end of the document"),
        (
            "directive @d on NOWHERE",
            "1:17 expected a place such as `OBJECT` or `FIELD_DEFINITION`, found `NOWHERE`",
        ),
    ];
    for (text, expected) in refused {
        assert_eq!(verdict(text), expected, "{text}");
    }
}

#[test]
fn columns_count_utf_16_code_units_and_every_line_end_counts() {
    // Each emoji takes two code units, each umlaut one.
    assert_eq!(verdict("{ a(b: \"😀ä\") é }").split(' ').next(), Some("1:15"));
    assert_eq!(verdict("# 😀\r\n{ a(b: \"\"\"😀\r😀ü\"\"\") % }").split(' ').next(), Some("3:9"));
    let text = "# ü\r{ a }\r\n\n  😀😀 x";
    let at = text.find('x').unwrap();
    assert_eq!(Lines::of(text).offset(text, Pos { line: 4, column: 8 }), at);
    assert_eq!(
        Lines::of(text).offset(text, Pos { line: 2, column: 99 }),
        text.find(" }").unwrap() + 2
    );
    assert_eq!(Lines::of(text).offset(text, Pos { line: 9, column: 1 }), text.len());
}

#[test]
fn descriptions_and_members_given_twice_are_kept() {
    let text =
        "\"\"\"\n  A \\\"\"\"\n  B\n\"\"\" type T { \"\\u{1F600}\" f: Int @d(v: {a: 1, a: 2}) }";
    let document = parse(text, Purpose::Types).unwrap();
    let Definition::Types(definition, _) = &document.definitions[0] else { panic!("a type") };
    let TypeSystemDefinition::Type(ty) = &**definition else { panic!("a type") };
    assert_eq!(ty.node.description.as_ref().unwrap().node, "A \"\"\"\nB");
    let TypeKind::Object(object) = &ty.node.kind else { panic!("an object") };
    assert_eq!(object.fields[0].node.description.as_ref().unwrap().node, "😀");
    assert_eq!(document.repeated_members.len(), 1);
    // A model has no operations.
    assert!(
        parse("{ a }", Purpose::Types).is_err()
            && parse("fragment F on T { a }", Purpose::Types).is_err()
    );
}

proptest! {
    /// Whatever the text: no panic, and the position of a mistake is valid.
    #[test]
    fn no_string_makes_the_parser_panic_or_overflow(text in r#"([{}()\[\]:$!@=|&"\\#.,\n\r 0-9a-fé😀-]|query|fragment|on|""""|\\u|type|extend|\.\.\.){0,60}"#) {
        for purpose in [Purpose::Operations, Purpose::Types] {
            if let Err(error) = parse(&text, purpose) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}");
                prop_assert_eq!(Lines::of(&text).offset(&text, error.pos), error.span.start, "{:?}", error);
            }
        }
    }
}
