//! Values are converted both ways.

use super::*;
use crate::model::Value;

#[test]
fn decimals_keep_every_digit() {
    for (scaled, scale) in [
        (0, 0),
        (0, 2),
        (1, 0),
        (1250, 2),
        (-5, 2),
        (10_000, 0),
        (100_000_000, 4),
        (1, 18),
        (i64::MAX, 18),
        (i64::MIN, 18),
        (i64::MIN, 0),
        (-123_456_789, 3),
        (999_999_999_999_999_999, 7),
    ] {
        let mut bytes = Vec::new();
        numeric::encode(scaled, scale, &mut bytes);
        assert_eq!(numeric::decode(&bytes, scale), Ok(scaled), "{scaled} {scale}");
    }
    // 1234567.891 as the server sends it: digits 123, 4567, 8910.
    let sent = [0, 3, 0, 1, 0, 0, 0, 3, 0, 123, 0x11, 0xd7, 0x22, 0xce];
    assert_eq!(numeric::decode(&sent, 3), Ok(1_234_567_891));
    let mut bytes = Vec::new();
    numeric::encode(1_234_567_891, 3, &mut bytes);
    assert_eq!(bytes, sent);
    assert_eq!(numeric::decode(&sent, 2), Err(Misfit::TooManyDigits), "nothing is rounded");
    assert_eq!(numeric::decode(&[0, 0, 0, 0, 0xc0, 0, 0, 0], 2), Err(Misfit::Nan));
}

#[test]
fn instants_and_days_are_written_as_they_are_kept() {
    for text in [
        "2000-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
        "1999-12-31T23:59:59.999Z",
    ] {
        let mut written = String::new();
        time::write_instant(time::instant(text).unwrap(), &mut written).unwrap();
        assert_eq!(written, text);
    }
    for text in ["2000-01-01", "0001-01-01", "9999-12-31", "2024-02-29"] {
        let mut written = String::new();
        time::write_day(time::day(text).unwrap(), &mut written).unwrap();
        assert_eq!(written, text);
    }
    let mut written = String::new();
    time::write_instant(-1, &mut written).unwrap();
    assert_eq!(written, "1999-12-31T23:59:59.999Z", "cut off");
    for far in [i64::MAX, i64::MIN, i64::MAX - 1, -70_000_000_000_000_000] {
        let mut written = String::new();
        time::write_instant(far, &mut written).unwrap();
        assert!(!written.ends_with('Z'), "{written}: no kept form");
    }
}

#[test]
fn a_pattern_finds_its_text_and_nothing_else() {
    assert_eq!(pattern(r"50%_\"), r"%50\%\_\\%");
}

#[test]
fn a_list_leaves_out_what_its_type_has_not() {
    let values = [Value::Int(7), Value::text("x"), Value::Null];
    let list = array(values.iter().map(Value::as_ref), Scalar::BigInt, false);
    assert_eq!(list.len(), 20 + 12);
    let parents = array(values.iter().map(Value::as_ref), Scalar::BigInt, true);
    assert_eq!(parents.len(), 20 + 12 + 4 + 4);
    assert_eq!(array(std::iter::empty(), Scalar::BigInt, false).len(), 12);
}
