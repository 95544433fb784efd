//! Round trips: every scalar, from GraphQL to the storage form to JSON.

use async_graphql::parser::types::Selection;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::json::write_string;
use crate::model::{EnumId, EnumType};
use crate::syntax::{Definition, Purpose, from_json, parse};

const MONEY: Scalar = Scalar::Decimal { precision: 12, scale: 2 };
const SIZE: Scalar = Scalar::Enum(EnumId(0));

fn model() -> Model {
    let values = ["SMALL", "MEDIUM", "LARGE"].map(|value| (value.to_owned(), None)).to_vec();
    let size = EnumType { name: "Size".to_owned(), description: None, values };
    Model {
        entities: Vec::new(),
        enums: vec![size],
        by_name: Default::default(),
        fingerprint: [0; 32],
        has_rules: false,
    }
}

fn variable(scalar: Scalar, json: serde_json::Value) -> Result<Value, String> {
    scalar.coerce(&model(), &from_json(&json), Source::Variable)
}

fn literal(scalar: Scalar, text: &str) -> Result<Value, String> {
    let text = format!("{{ a(b: {text}) }}");
    let document =
        parse(&text, Purpose::Operations).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    let Definition::Operation(_, operation) = &document.definitions[0] else {
        panic!("an operation")
    };
    let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else {
        panic!("a field")
    };
    let input = field.node.arguments[0].1.node.clone().into_const().unwrap();
    scalar.coerce(&model(), &input, Source::Literal)
}

fn written(scalar: Scalar, value: &Value) -> Result<String, CorruptValue> {
    let mut out = Vec::new();
    scalar.write_json(&model(), value.as_ref(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn variables_come_out_as_their_canonical_json() {
    for (scalar, given, expected) in [
        (Scalar::IdInt, json!("42"), r#""42""#),
        (Scalar::IdInt, json!(-42), r#""-42""#),
        (Scalar::IdText, json!("a/b"), r#""a/b""#),
        (Scalar::IdText, json!(7), r#""7""#),
        (
            Scalar::IdUuid,
            json!("0190D0A1-7F3C-7000-8000-00000000000A"),
            r#""0190d0a1-7f3c-7000-8000-00000000000a""#,
        ),
        (Scalar::String, json!("\"é\n\u{1}☃"), "\"\\\"é\\n\\u0001☃\""),
        (Scalar::Int, json!(-2147483648), "-2147483648"),
        (Scalar::Int, json!(1.0), "1"),
        (Scalar::BigInt, json!("9223372036854775807"), r#""9223372036854775807""#),
        (Scalar::BigInt, json!(9007199254740991i64), r#""9007199254740991""#),
        (Scalar::BigInt, json!(1.0), r#""1""#),
        (Scalar::BigInt, json!(-1e15), r#""-1000000000000000""#),
        (Scalar::Float, json!(3), "3.0"),
        (Scalar::Float, json!(0.1), "0.1"),
        (Scalar::Float, json!(-0.0), "0.0"),
        (Scalar::Boolean, json!(true), "true"),
        (MONEY, json!("12"), r#""12.00""#),
        (MONEY, json!(12.5), r#""12.50""#),
        (MONEY, json!(-7), r#""-7.00""#),
        (MONEY, json!("1.500"), r#""1.50""#),
        (Scalar::DateTime, json!("2026-11-22T10:30:00.5+01:00"), r#""2026-11-22T09:30:00.500Z""#),
        (Scalar::Date, json!("2026-11-22"), r#""2026-11-22""#),
        (
            Scalar::Uuid,
            json!("0190d0a1-7f3c-7000-8000-00000000000A"),
            r#""0190d0a1-7f3c-7000-8000-00000000000a""#,
        ),
        (
            Scalar::Json,
            json!({"b": [1, null, 2.5], "a": {"d": "x\"", "c": true}}),
            r#"{"a":{"c":true,"d":"x\""},"b":[1,null,2.5]}"#,
        ),
        (Scalar::Json, json!("text"), r#""text""#),
        (SIZE, json!("LARGE"), r#""LARGE""#),
    ] {
        let value = variable(scalar, given.clone())
            .unwrap_or_else(|error| panic!("{scalar:?} {given}: {error}"));
        assert_eq!(written(scalar, &value).as_deref(), Ok(expected), "{scalar:?} {given}");
    }
}

#[test]
fn literals_are_exact_and_enums_are_names() {
    assert_eq!(literal(SIZE, "LARGE"), Ok(Value::text("LARGE")));
    assert_eq!(literal(Scalar::BigInt, "9007199254740993"), Ok(Value::Int(9007199254740993)));
    assert_eq!(literal(MONEY, "12.50"), Ok(Value::Int(1250)));
    assert_eq!(
        literal(Scalar::Json, "{b: 1, a: [\"x\"]}"),
        Ok(Value::text(r#"{"a":["x"],"b":1}"#))
    );
    insta::assert_snapshot!(literal(SIZE, "\"LARGE\"").unwrap_err(), @r#"expected a Size, which is written without quotes, found "LARGE""#);
    insta::assert_snapshot!(literal(SIZE, "LARG").unwrap_err(), @"Size has no value `LARG`; did you mean `LARGE`?");
    insta::assert_snapshot!(literal(Scalar::Json, "[LARGE]").unwrap_err(), @"expected JSON, found the name `LARGE`; strings in JSON are quoted");
    insta::assert_snapshot!(literal(Scalar::Int, "1.0").unwrap_err(), @"expected an Int, found 1.0");
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_the_expected_type() {
    let mut messages = Vec::new();
    for (scalar, given) in [
        (Scalar::IdInt, json!("007")),
        (Scalar::IdInt, json!("+7")),
        (Scalar::IdInt, json!("9223372036854775808")),
        (Scalar::IdInt, json!(9007199254740992i64)),
        (Scalar::IdInt, json!(1.5)),
        (Scalar::IdText, json!(true)),
        (Scalar::IdText, json!("a\u{0}b")),
        (Scalar::IdUuid, json!("0190d0a17f3c70008000000000000001")),
        (Scalar::String, json!(1)),
        (Scalar::String, json!(["a"])),
        (Scalar::Int, json!(2147483648i64)),
        (Scalar::Int, json!("1")),
        (Scalar::Int, json!(1.5)),
        (Scalar::Int, json!(1e300)),
        (Scalar::BigInt, json!("1.0")),
        (Scalar::BigInt, json!(9007199254740993i64)),
        (Scalar::BigInt, json!(u64::MAX)),
        (Scalar::Float, json!("1.5")),
        (Scalar::Boolean, json!(1)),
        (MONEY, json!("1.234")),
        (MONEY, json!(0.1 + 0.2)),
        (MONEY, json!("12345678901.00")),
        (MONEY, json!("1e3")),
        (MONEY, json!(1e300)),
        (MONEY, json!(true)),
        (Scalar::DateTime, json!("2026-11-22 09:30:00")),
        (Scalar::DateTime, json!("2026-11-22T09:30:00.123456Z")),
        (Scalar::DateTime, json!(1795339800)),
        (Scalar::Date, json!("2026-02-30")),
        (Scalar::Uuid, json!("g190d0a1-7f3c-7000-8000-00000000000a")),
        (Scalar::Json, json!({"a": "\u{0}"})),
        (SIZE, json!("small")),
        (SIZE, json!(1)),
        (Scalar::Date, json!("x".repeat(500))),
    ] {
        messages.push(variable(scalar, given).unwrap_err());
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    expected an ID that is an integer, found "007"
    expected an ID that is an integer, found "+7"
    expected an ID that is an integer, found "9223372036854775808"
    expected an ID as a string, because the number 9007199254740992 may have lost digits
    expected an ID that is an integer, found 1.5
    expected an ID, found true
    expected an ID without the character U+0000
    expected a UUID such as "0190d0a1-7f3c-7000-8000-000000000001", found "0190d0a17f3c70008000000000000001"
    expected a String, found 1
    expected a String, found a list
    expected an Int of 32 bits, found 2147483648
    expected an Int, found "1"
    expected an Int, found 1.5
    expected an Int, found 1e+300
    expected a BigInt of 64 bits, found "1.0"
    expected a BigInt as a string, because the number 9007199254740993 may have lost digits
    expected a BigInt that is an integer, found 18446744073709551615
    expected a Float, found "1.5"
    expected `true` or `false`, found 1
    expected a Decimal with at most 2 digits after the point, found "1.234"
    expected a Decimal as a string, because the number 0.30000000000000004 may have lost digits
    expected a Decimal with at most 10 digits before the point, found "12345678901.00"
    expected a Decimal such as "12.50", found "1e3"
    expected a Decimal with at most 10 digits before the point, found "10000000000000000000000000000000000000000000000000000000000000000000000000000000…"
    expected a Decimal, found true
    expected a DateTime such as "2026-11-22T09:30:00Z", found "2026-11-22 09:30:00"
    expected a DateTime with at most milliseconds, found "2026-11-22T09:30:00.123456Z"
    expected a DateTime such as "2026-11-22T09:30:00Z", found 1795339800
    expected a Date such as "2026-11-22", found "2026-02-30"
    expected a UUID such as "0190d0a1-7f3c-7000-8000-000000000001", found "g190d0a1-7f3c-7000-8000-00000000000a"
    expected JSON without the character U+0000
    Size has no value `small`; did you mean `SMALL`?
    expected a Size, found 1
    expected a Date such as "2026-11-22", found "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    "#);
}

#[test]
fn invalid_values_of_another_program_are_not_shown() {
    for (scalar, value) in [
        (Scalar::Int, Value::text("secret")),
        (Scalar::Int, Value::Int(1 << 31)),
        (Scalar::Int, Value::Real(1.0)),
        (Scalar::IdInt, Value::text("1")),
        (Scalar::IdText, Value::Int(1)),
        (Scalar::BigInt, Value::Real(1.0)),
        (Scalar::Float, Value::Real(f64::NAN)),
        (Scalar::Float, Value::Real(f64::INFINITY)),
        (Scalar::Float, Value::text("secret")),
        (Scalar::Boolean, Value::Int(2)),
        (MONEY, Value::Real(1.5)),
        (MONEY, Value::text("secret")),
        (Scalar::DateTime, Value::text("2026-11-22 09:30:00")),
        (Scalar::Date, Value::text("2026-11-22T09:30:00.000Z")),
        (Scalar::Uuid, Value::text("0190D0A1-7F3C-7000-8000-00000000000A")),
        (Scalar::IdUuid, Value::text("secret")),
        (Scalar::Json, Value::text("{secret")),
        (Scalar::Json, Value::text("1 2")),
        (Scalar::Json, Value::Int(1)),
        (SIZE, Value::text("SECRET")),
    ] {
        let error = written(scalar, &value).unwrap_err();
        assert!(error.expected.contains(scalar.graphql_name(&model())), "{error}");
        assert!(!error.to_string().to_lowercase().contains("secret"));
    }
    assert_eq!(written(Scalar::Float, &Value::Int(3)).as_deref(), Ok("3.0"));
    assert_eq!(
        written(Scalar::Json, &Value::text("{ \"b\" : 1 }")).as_deref(),
        Ok("{ \"b\" : 1 }")
    );
}

#[test]
fn numbers_in_json_keep_their_digits_or_are_refused() {
    let given = |text: &str| serde_json::from_str(text).unwrap();
    for (text, kept) in [
        ("12345678901234567890123", "12345678901234567890123"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("1.50", "1.5"),
        // The forms in which PostgreSQL's `jsonb` returns them.
        ("-0.0", "0.0"),
        ("1e16", "10000000000000000"),
        ("1.8e19", "18000000000000000000"),
        ("100000000000000000000", "1e+20"),
        ("12345678901234567890123e5", "1234567890123456789012300000"),
        ("12345678901234567890123e-25", "0.0012345678901234567890123"),
        ("1E5", "100000.0"),
        ("2.5E-007", "2.5e-7"),
        ("1.00000000000000000001E+5", "100000.000000000000001"),
        ("1e0", "1.0"),
        ("0.1", "0.1"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ] {
        let list = format!("[{text}]");
        assert_eq!(
            variable(Scalar::Json, given(&list)),
            Ok(Value::text(format!("[{kept}]"))),
            "{text}"
        );
        assert_eq!(literal(Scalar::Json, &list), Ok(Value::text(format!("[{kept}]"))), "{text}");
        // A second pass changes nothing.
        assert_eq!(variable(Scalar::Json, given(kept)), Ok(Value::text(kept)));
    }
    for text in ["1e400", "-1e400", "1e-400", "1e99999999999"] {
        let message =
            format!("expected JSON whose numbers are in the range of a Float, found {text}");
        assert_eq!(literal(Scalar::Json, text), Err(message), "{text}");
        assert!(variable(Scalar::Json, given(text)).is_err());
        assert!(variable(Scalar::Float, given(text)).is_ok() == text.contains("e-"));
    }
    let long = variable(Scalar::Int, given(&"9".repeat(1000))).unwrap_err();
    assert!(long.len() < 150, "{long}");
    // JSON that others have written is sent unchanged.
    for theirs in ["12345678901234567890123", "1e400", "-0", "{\"a\":1,\"a\":2}", "1E+5"] {
        assert_eq!(written(Scalar::Json, &Value::text(theirs)).as_deref(), Ok(theirs));
    }
}

#[test]
fn a_column_of_strings_and_numbers_is_read_as_strings() {
    assert_eq!(written(Scalar::String, &Value::Int(-7)).as_deref(), Ok(r#""-7""#));
    assert_eq!(written(Scalar::String, &Value::Real(1e3)).as_deref(), Ok(r#""1000.0""#));
    assert!(written(Scalar::String, &Value::Real(f64::INFINITY)).is_err());
}

#[test]
fn null_is_null_for_every_scalar() {
    for (_, scalar) in BUILT_IN {
        assert_eq!(written(scalar, &Value::Null).as_deref(), Ok("null"));
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|boolean| json!(boolean)),
        any::<i64>().prop_map(|int| json!(int)),
        // Floats in between are stored as integers.
        prop::num::f64::NORMAL
            .prop_filter("a float", |float| float.abs() < 1e16 || float.abs() >= 2e19)
            .prop_map(|float| json!(float)),
        "[^\u{0}]{0,12}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| json!(items)),
            prop::collection::btree_map("[^\u{0}]{0,6}", inner, 0..5)
                .prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #[test]
    fn strings_are_escaped_as_serde_json_does(text in prop_oneof!["\\PC{0,40}", "[\u{0}-\u{7f}\"\\\\é☃]{0,40}", any::<String>()]) {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn integers_come_back(int in any::<i64>()) {
        let value = variable(Scalar::BigInt, json!(int.to_string())).unwrap();
        prop_assert_eq!(&value, &Value::Int(int));
        prop_assert_eq!(written(Scalar::BigInt, &value).unwrap(), format!("\"{int}\""));
        prop_assert_eq!(written(Scalar::IdInt, &value).unwrap(), format!("\"{int}\""));
    }

    #[test]
    fn floats_come_back_to_the_bit(float in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
        let value = variable(Scalar::Float, json!(float)).unwrap();
        let back: f64 = written(Scalar::Float, &value).unwrap().parse().unwrap();
        prop_assert_eq!(back.to_bits(), float.to_bits());
    }

    #[test]
    fn decimals_come_back(scaled in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0u8..=18) {
        let scalar = Scalar::Decimal { precision: 18, scale };
        let text = written(scalar, &Value::Int(scaled)).unwrap();
        let given: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(variable(scalar, given), Ok(Value::Int(scaled)));
    }

    #[test]
    fn decimals_as_numbers_are_exact_or_refused(whole in -99_999i64..=99_999, cents in 0i64..100) {
        let text = format!("{whole}.{cents:02}");
        let number: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(variable(MONEY, number), variable(MONEY, json!(text)));
    }

    #[test]
    fn instants_sort_like_their_strings(a in -62_135_596_800i64..253_402_207_200, b in -62_135_596_800i64..253_402_207_200, ms in 0i64..1000) {
        let kept = |seconds: i64| {
            let instant = jiff::Timestamp::from_second(seconds).unwrap() + jiff::SignedDuration::from_millis(ms);
            let Ok(Value::Text(text)) = variable(Scalar::DateTime, json!(instant.to_string())) else { panic!("{instant}") };
            let back: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(back, instant);
            text
        };
        prop_assert_eq!(kept(a).cmp(&kept(b)), a.cmp(&b));
    }

    #[test]
    fn json_comes_back_in_canonical_form(given in any_json()) {
        let value = variable(Scalar::Json, given.clone()).unwrap();
        let text = written(Scalar::Json, &value).unwrap();
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &given);
        prop_assert_eq!(variable(Scalar::Json, back).unwrap(), value);
    }

    #[test]
    fn no_string_makes_a_scalar_panic(text in "\\PC{0,40}|[0-9T:.+Ze-]{0,40}") {
        for (_, scalar) in BUILT_IN.into_iter().chain([("", Scalar::IdInt), ("", Scalar::IdUuid), ("", SIZE), ("", MONEY)]) {
            if let Ok(value) = variable(scalar, json!(text)) {
                prop_assert!(written(scalar, &value).is_ok());
            }
            let _ = written(scalar, &Value::text(text.as_str()));
        }
    }
}
